// Makes the pages faster to use. Everything also works without it, by links and forms.

import { List } from './follow.js';

const main = () => document.getElementById('main');
const news = document.querySelector('p.news');
const say = (text) => { news.textContent = text; };
const typing = (target) => target.closest('input, textarea, select, [contenteditable]') !== null;
const copy = async (text, button) => {
  try {
    await navigator.clipboard.writeText(text);
    say('✓ ' + text);
    if (button) { button.dataset.done = ''; }
  } catch {
    say('✗');
  }
};

// ---- another state of the same page, without a reload

let asking = null;

/** Fetches an address of the same page, and replaces the page's content. */
const swap = async (url, { replace }) => {
  asking?.abort();
  asking = new AbortController();
  let text;
  try {
    const answer = await fetch(url, { signal: asking.signal, headers: { accept: 'text/html' } });
    if (!answer.ok || answer.redirected) { location.assign(url); return; }
    text = await answer.text();
  } catch (error) {
    if (error.name !== 'AbortError') { location.assign(url); }
    return;
  }
  const page = new DOMParser().parseFromString(text, 'text/html');
  const held = ['[data-slider]', '[data-play]'].find((one) => document.activeElement?.matches(one));
  main().replaceChildren(...page.getElementById('main').childNodes);
  document.title = page.title;
  const inside = history.state?.inside ?? 0;
  if (replace) { history.replaceState({ inside }, '', url); } else { history.pushState({ inside: inside + 1 }, '', url); }
  ready();
  if (held) { main().querySelector(held)?.focus(); }
};

const atVersion = (version) => {
  const url = new URL(location.href);
  url.searchParams.set('v', version);
  url.searchParams.delete('cmp');
  url.searchParams.delete('before');
  return url;
};

// ---- one version a second, to the last

let playing = null;
let ended = -Infinity;

const atRest = () => {
  const button = document.querySelector('[data-play]');
  if (!button) { return; }
  button.dataset.word ??= button.textContent;
  button.textContent = playing ? button.dataset.stop : button.dataset.word;
  button.setAttribute('aria-pressed', String(playing !== null));
};

const stop = (event) => {
  if (!playing) { return; }
  clearTimeout(playing);
  playing = null;
  if (event) { ended = performance.now(); }
  atRest();
};

const play = (button) => {
  const last = Number(button.dataset.play);
  const shown = () => Number(document.querySelector('[data-slider]')?.value ?? last);
  const step = async (version) => {
    await swap(atVersion(version), { replace: true });
    if (!playing) { return; }
    if (shown() >= last) { stop(); } else { playing = setTimeout(step, 1_000, shown() + 1); }
  };
  // At the end, playing starts again from the first version.
  playing = setTimeout(step, shown() >= last ? 0 : 1_000, shown() >= last ? 1 : shown() + 1);
  atRest();
};

for (const kind of ['keydown', 'pointerdown']) { document.addEventListener(kind, stop, { capture: true }); }

// ---- the rows of a page, by keyboard

const rows = () => [...document.querySelectorAll('a.row')]
  .filter((row) => !row.closest('.effects, .also') && row.checkVisibility());
const place = () => document.activeElement?.closest('[data-position]');
const here = () => (document.activeElement?.closest('.effects, .also')?.closest('ol.trail > li') ?? place())?.querySelector('a.row')
  ?? document.activeElement?.closest('a.row');

const move = (by) => {
  const all = rows();
  const next = all[Math.min(all.length - 1, Math.max(0, all.indexOf(here()) + by))];
  next?.focus();
};

let keysOn = localStorage.getItem('soonshop-keys') !== 'off';
let going = false;

const press = {
  '/': () => (document.querySelector('#q') ?? document.querySelector('.jump input'))?.focus(),
  j: () => move(1),
  k: () => move(-1),
  '[': () => main().querySelector('[data-step="-1"]')?.click(),
  ']': () => main().querySelector('[data-step="1"]')?.click(),
  l: () => document.querySelector('[data-live]')?.click(),
  e: () => document.querySelector('[data-export]')?.click(),
  c: () => copy((place()?.querySelector('a.row') ?? here())?.href ?? location.href),
  y: () => { const id = place()?.dataset.id; if (id) { copy(id); } },
  '?': () => document.querySelector('[data-help]')?.click(),
};

document.addEventListener('keydown', (event) => {
  if (!keysOn || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) { return; }
  if (going) {
    going = false;
    document.querySelector(`[data-go="${CSS.escape(event.key)}"]`)?.click();
    return;
  }
  if (event.key === 'g') { going = true; return; }
  const done = press[event.key];
  if (done) { event.preventDefault(); done(); }
});

// ---- back to the row that was selected before

const linkOf = (href) => [...main().querySelectorAll('a[href]')].find((link) => link.getAttribute('href') === href);

addEventListener('pagehide', () => {
  const selected = document.activeElement;
  const position = place()?.dataset.position;
  const href = main().contains(selected) ? selected.closest('a[href]')?.getAttribute('href') : undefined;
  if (position || href) { sessionStorage.setItem('at ' + location.href, JSON.stringify({ position, href })); }
});

const returnToRow = () => {
  const { position, href } = JSON.parse(sessionStorage.getItem('at ' + location.href) ?? '{}');
  const left = position && document.querySelector(`[data-position="${CSS.escape(position)}"] a.row`);
  const row = left || (href && linkOf(href)) || document.querySelector('[data-chosen] a.row');
  for (let fold = row?.closest('details'); fold; fold = fold.parentElement.closest('details')) { fold.open = true; }
  row?.focus();
};

/** Pages that show one thing, which was chosen on another page. */
const DETAIL = /^\/audit\/(a|c|projections|runs|processes)\/./;

/** Leaves a detail for the page that it was opened from, past the versions that were looked at meanwhile. */
const goBack = () => {
  const from = document.referrer && new URL(document.referrer);
  if (!DETAIL.test(location.pathname) || !from || from.origin !== location.origin) { return; }
  if (!from.pathname.startsWith('/audit') || from.pathname === '/audit/sign-in') { return; }
  history.go(-1 - (history.state?.inside ?? 0));
};

// ---- what is not found leaves the page as it is

/** The content of this page came for a form that was sent: it has no address of its own to go back from. */
let sent = false;

document.addEventListener('submit', async (event) => {
  const form = event.target;
  if (!form.matches('form.jump')) { return; }
  event.preventDefault();
  const fields = new URLSearchParams(new FormData(form));
  const url = new URL(form.action);
  const request = { headers: { accept: 'text/html' } };
  // What is posted may be personal, and is in no address.
  if (form.method === 'get') { url.search = fields; } else { Object.assign(request, { method: 'POST', body: fields }); }
  const answer = await fetch(url, request).catch(() => null);
  if (answer?.redirected) { location.assign(answer.url); return; }
  const text = await answer?.text().catch(() => null);
  const page = text ? new DOMParser().parseFromString(text, 'text/html') : null;
  if (!page?.getElementById('main')) {
    if (form.method === 'get') { location.assign(url); } else { form.submit(); }
    return;
  }
  const input = form.querySelector('[type=search]');
  form.querySelector('.missed')?.remove();
  const reason = answer.status === 404 ? page.querySelector('main .missed') : null;
  if (!reason) {
    document.querySelector('[data-live][aria-pressed="true"]')?.click();
    main().replaceChildren(...page.getElementById('main').childNodes);
    document.title = page.title;
    input.value = page.querySelector('form.jump [type=search]')?.value ?? '';
    history.pushState({ inside: (history.state?.inside ?? 0) + 1 }, '', url);
    sent = true;
    scrollTo({ top: 0 });
    ready();
    say(page.title);
    return;
  }
  form.append(reason);
  input.setAttribute('aria-invalid', 'true');
  input.setAttribute('aria-describedby', reason.id);
  input.oninput = () => {
    reason.remove();
    for (const name of ['aria-invalid', 'aria-describedby']) { input.removeAttribute(name); }
  };
});

// ---- follow live

/** An address that ends so is followed as soon as its page is there: after a reload, and with another filter. */
const FOLLOWED = '#live';

/** Above this many pixels the reader is at the top of the page. */
const TOP = 200;

/** The address of a list's stream, without the position that it begins after. */
const streamOf = (parameters) => {
  const url = new URL('/api/audit/stream', location.href);
  for (const [name, value] of parameters) {
    if (!['order', 'sort', 'past', 'before', 'after', 'at', 'limit'].includes(name) && value !== '') { url.searchParams.set(name, value); }
  }
  url.searchParams.set('html', '1');
  return url.href;
};

/** The rows of a message, as the list takes them. A row by command has all events of the command. */
const rowsOf = ({ position, items, html }) => items.map((item, index) => {
  const events = item.events ? [...item.events, ...item.effects] : [item];
  const positions = events.map((event) => event.position).filter((one) => one <= position);
  return { row: (item.events?.[0] ?? item).position, positions, html: html[index] };
});

/** A row for what the server left out, because the stream was too far behind. */
const leftOut = ({ search, from, to }, parameters, button) => {
  const item = document.createElement('li');
  const way = document.createElement('a');
  const url = new URL(location.pathname, location.href);
  for (const [name, value] of parameters) { if (!['before', 'past'].includes(name)) { url.searchParams.set(name, value); } }
  url.searchParams.set('order', 'asc');
  url.searchParams.set('after', from - 1);
  item.dataset.position = to;
  way.className = 'row';
  way.href = url.pathname + url.search;
  way.textContent = '⋯ ' + button.dataset.leftOut.replace('{from}', from).replace('{to}', to);
  item.append(way);
  return { search, after: from - 1, position: to, items: [{ row: to, positions: [to], html: item.outerHTML, gap: true }] };
};

/** Shows the rows of a list; those that did not change stay as they are. */
const drawn = new WeakMap();
const draw = (list, rows) => {
  const isRow = (item) => item.matches('li[data-position]');
  const there = new Map([...list.children].filter(isRow).map((item) => [Number(item.dataset.position), item]));
  let place = null;
  for (const { row, html } of rows) {
    const old = there.get(row);
    there.delete(row);
    let item = old;
    if (html !== null && drawn.get(old) !== html) {
      item = document.createRange().createContextualFragment(html).firstElementChild;
      drawn.set(item, html);
      if (old) { inPlaceOf(old, item); }
    }
    let next = place ? place.nextElementSibling : list.firstElementChild;
    while (next && !isRow(next)) { next = next.nextElementSibling; }
    if (next !== item) { if (place) { place.after(item); } else { list.prepend(item); } }
    place = item;
  }
  for (const item of there.values()) { item.remove(); }
};

/** Puts a row in the place of an earlier form of it: what was unfolded stays so, and the focus stays where it was. */
const inPlaceOf = (old, item) => {
  const focused = old.contains(document.activeElement) ? place()?.dataset.position : undefined;
  if (old.querySelector('details.effects[open]')) {
    const effects = item.querySelector('details.effects');
    if (effects) { effects.open = true; }
  }
  old.replaceWith(item);
  if (focused === undefined) { return; }
  const inner = item.querySelector(`[data-position="${CSS.escape(focused)}"] a.row`);
  (inner ?? item.querySelector('a.row'))?.focus({ preventScroll: true });
};

const live = (button) => {
  const list = document.querySelector('[data-rows]');
  const more = document.querySelector('p.more');
  const show = document.querySelector('[data-news]');
  const cut = document.querySelector('[data-cut]');
  const state = document.querySelector('[data-live-state]');
  const search = document.querySelector('form.search');
  const parameters = new URLSearchParams(location.search);
  // A moment after which there was nothing: what comes is on this page.
  parameters.delete('at');
  const newest = parameters.get('order') !== 'asc';
  const older = () => document.querySelector('a[rel=next]') !== null || !cut.hidden || parameters.has('after') || parameters.has('past');
  const rows = [...list.querySelectorAll(':scope > li[data-position]')]
    .map((item) => ({ row: Number(item.dataset.position), positions: [], html: null }));
  const model = new List({ search: streamOf(parameters), rows, last: Number(button.dataset.live), more: older() });
  const counted = (count) => (count === 1 ? show.dataset.one : show.dataset.many.replace('{count}', count));

  let spoken = 0;
  const refresh = () => {
    draw(list, newest ? [...model.shown].reverse() : model.shown);
    more.hidden = model.news === 0;
    if (model.news > 0) { show.textContent = '▲ ' + counted(model.news); }
    if (!model.cut) { return; }
    const before = new URLSearchParams(parameters);
    for (const name of ['after', 'past', 'order']) { before.delete(name); }
    before.set('before', model.floor);
    const way = location.pathname + '?' + before;
    for (const link of [cut.querySelector('a'), newest && document.querySelector('a[rel=next]')]) { if (link) { link.href = way; } }
    cut.hidden = false;
  };
  const says = (now) => {
    if (button.dataset.state === now) { return; }
    button.dataset.state = now;
    state.textContent = state.getAttribute('data-say-' + now) ?? '';
    if (['lost', 'live', 'refused'].includes(now)) { say(state.textContent); }
  };
  const worker = new SharedWorker('/audit/tail.js', { name: 'tail', type: 'module' });
  const follow = () => worker.port.postMessage({ follow: { search: model.search, after: model.last } });
  const take = (message) => {
    const before = model.last;
    if (!model.take(message)) { follow(); return; }
    if (model.last === before) { return; }
    spoken += message.items.flatMap(({ gap, positions }) => (gap ? [] : positions)).filter((one) => one > before).length;
    refresh();
  };
  worker.port.onmessage = ({ data }) => {
    if (data.events) { take({ ...data.events, items: rowsOf(data.events) }); }
    if (data.passed) { take(leftOut(data.passed, parameters, button)); }
    if (data.state) { says(data.state); }
    if (data.reload) { location.reload(); }
  };
  const over = new AbortController();
  const during = { signal: over.signal };
  const speak = setInterval(() => { if (spoken > 0) { say(counted(spoken)); spoken = 0; } }, 10_000);
  const isAway = () => newest && scrollY > TOP;
  const scrolled = () => {
    if (model.away === isAway()) { return; }
    model.scrolled(isAway());
    refresh();
  };
  const wake = () => { if (!document.hidden) { worker.port.postMessage({ wake: true }); } };
  addEventListener('scroll', scrolled, { ...during, passive: true });
  addEventListener('online', wake, during);
  document.addEventListener('visibilitychange', wake, during);
  addEventListener('pagehide', () => worker.port.postMessage({ leave: true }), during);
  addEventListener('pageshow', ({ persisted }) => { if (persisted) { follow(); } }, during);
  show.addEventListener('click', () => { model.flush(); refresh(); scrollTo({ top: 0 }); }, during);
  // With another filter it is followed on.
  search?.setAttribute('action', location.pathname + FOLLOWED);
  document.querySelectorAll('.drops a').forEach((link) => { link.hash = FOLLOWED; });
  history.replaceState(history.state, '', FOLLOWED);

  state.hidden = false;
  says('begun');
  scrolled();
  follow();
  return () => {
    over.abort();
    clearInterval(speak);
    worker.port.postMessage({ leave: true });
    worker.port.close();
    model.flush();
    refresh();
    button.dataset.live = model.last;
    delete button.dataset.state;
    state.hidden = true;
    search?.setAttribute('action', location.pathname);
    document.querySelectorAll('.drops a').forEach((link) => { link.hash = ''; });
    history.replaceState(history.state, '', location.pathname + location.search);
  };
};

// ---- pages of health figures

let poll = null;
const watch = () => {
  clearInterval(poll);
  if (!document.querySelector('[data-poll]')) { return; }
  poll = setInterval(async () => {
    if (document.hidden) { return; }
    const answer = await fetch(location.href).catch(() => null);
    if (!answer?.ok || answer.redirected) { return; }
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    const now = page.querySelector('[data-poll]');
    const shown = document.querySelector('[data-poll]');
    if (now && shown && !shown.contains(document.activeElement)) { shown.replaceWith(now); }
  }, 2_000);
};

// ---- each time a page, or a part of it, was loaded

const ready = () => {
  for (const hidden of document.querySelectorAll('[data-live], [data-copy], [data-copy-link], [data-keys]')) {
    hidden.hidden = false;
  }
  for (const button of document.querySelectorAll('[data-copy]')) {
    button.onclick = () => copy(button.dataset.copy, button);
  }
  const link = document.querySelector('[data-copy-link]');
  if (link) { link.onclick = () => copy(location.href, link); }
  const keys = document.querySelector('[data-keys]');
  if (keys) {
    keys.setAttribute('aria-pressed', String(keysOn));
    keys.onclick = () => {
      keysOn = !keysOn;
      localStorage.setItem('soonshop-keys', keysOn ? 'on' : 'off');
      keys.setAttribute('aria-pressed', String(keysOn));
    };
  }
  const slider = document.querySelector('[data-slider]');
  if (slider) {
    slider.form.querySelector('[data-go-button]').hidden = true;
    slider.oninput = () => swap(atVersion(slider.value), { replace: true });
    slider.onkeydown = (event) => {
      const by = { PageUp: 10, PageDown: -10 }[event.key];
      if (by === undefined) { return; }
      event.preventDefault();
      slider.value = Number(slider.value) + by;
      swap(atVersion(slider.value), { replace: true });
    };
  }
  const button = document.querySelector('[data-play]');
  if (button) {
    button.hidden = matchMedia('(prefers-reduced-motion: reduce)').matches;
    // The key or click that stops playing must not start it again.
    button.onclick = (event) => {
      if (playing) { stop(event); } else if (performance.now() - ended > 500) { play(button); }
    };
    atRest();
  }
  if (document.querySelector('[data-swap]')) {
    for (const step of document.querySelectorAll('[data-swap] a[data-step], [data-swap] ol a.row')) {
      step.onclick = (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) { return; }
        event.preventDefault();
        swap(step.href, { replace: false });
      };
    }
  }
  const follow = document.querySelector('[data-live]');
  if (follow) {
    let end = null;
    follow.onclick = () => {
      // New events are not on this page: they are followed where they come.
      if (follow.dataset.liveFrom) { location.assign(follow.dataset.liveFrom); return; }
      if (end) { end(); end = null; } else { end = live(follow); }
      follow.setAttribute('aria-pressed', String(end !== null));
    };
    if (location.hash === FOLLOWED && !follow.dataset.liveFrom) { follow.click(); }
  }
  watch();
};

addEventListener('popstate', () => { if (sent || document.querySelector('[data-swap]')) { location.reload(); } });
addEventListener('pageshow', returnToRow);
document.addEventListener('click', (event) => {
  for (const menu of document.querySelectorAll('details.menu[open]')) {
    if (!menu.contains(event.target)) { menu.open = false; }
  }
});
document.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape') { return; }
  const menu = document.querySelector('details.menu[open]');
  if (menu) {
    menu.open = false;
    menu.querySelector('summary').focus();
    return;
  }
  // The key that stops playing does nothing else.
  const writes = typing(event.target) && !event.target.matches('[type=range]');
  if (keysOn && !writes && performance.now() - ended > 500) { goBack(); }
});
ready();
