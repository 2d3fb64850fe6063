// Makes the pages faster to use. Everything also works without it, by links and forms.

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
  document.title = main().querySelector('[data-title]')?.dataset.title ?? page.title;
  history[replace ? 'replaceState' : 'pushState']({}, '', url);
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

const rows = () => [...document.querySelectorAll('a.row')].filter((row) => !row.closest('.effects, .also'));
const place = () => document.activeElement?.closest('[data-position]');
const here = () => (document.activeElement?.closest('ol.trail > li') ?? place())?.querySelector('a.row')
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

addEventListener('pagehide', () => {
  const position = place()?.dataset.position;
  if (position) { sessionStorage.setItem('at ' + location.href, position); }
});

const returnToRow = () => {
  const position = sessionStorage.getItem('at ' + location.href);
  const left = position && document.querySelector(`[data-position="${CSS.escape(position)}"] a.row`);
  const row = left || document.querySelector('[data-chosen] a.row');
  for (let fold = row?.closest('details'); fold; fold = fold.parentElement.closest('details')) { fold.open = true; }
  row?.focus();
};

// ---- follow live

/** The most rows that are kept on the page, and the most that are inserted at once. */
const KEPT = 200;

const live = (button) => {
  const list = document.querySelector('[data-rows]');
  const more = document.querySelector('p.more');
  const show = document.querySelector('[data-news]');
  const newest = new URLSearchParams(location.search).get('order') !== 'asc';
  let waiting = [];
  let last = Number(list.querySelector('li')?.dataset.position ?? button.dataset.live);
  last = Math.max(last, Number(button.dataset.live));
  const put = (html) => {
    const row = document.createRange().createContextualFragment(html).firstElementChild;
    if (list.querySelector(`li[data-position="${row.dataset.position}"]`)) { return; }
    if (newest) { list.prepend(row); } else { list.append(row); }
    while (list.children.length > KEPT) { (newest ? list.lastElementChild : list.firstElementChild).remove(); }
  };
  const flush = () => {
    waiting.forEach(put);
    waiting = [];
    more.hidden = true;
  };
  show.addEventListener('click', () => { flush(); scrollTo({ top: 0 }); });
  const take = (data) => {
    // A stream shared by tabs restarts at the tab that is furthest behind: rows that are already here are skipped.
    const fresh = data.html.filter((_, index) => data.items[index].position > last);
    last = Math.max(last, data.position);
    list.dataset.came = Number(list.dataset.came ?? 0) + fresh.length;
    if (newest && scrollY > 200) {
      waiting.push(...fresh);
      if (waiting.length > KEPT) { waiting.splice(0, waiting.length - KEPT); }
      show.textContent = '▲ ' + waiting.length;
      more.hidden = false;
    } else {
      fresh.forEach(put);
    }
    spoken += fresh.length;
  };
  let spoken = 0;
  const speak = setInterval(() => { if (spoken > 0) { say('▲ ' + spoken); spoken = 0; } }, 10_000);
  const address = () => {
    const url = new URL('/api/audit/stream', location.href);
    for (const [name, value] of new URLSearchParams(location.search)) {
      if (!['order', 'sort', 'past', 'before', 'after', 'limit', 'to'].includes(name) && value !== '') { url.searchParams.set(name, value); }
    }
    url.searchParams.set('html', '1');
    url.searchParams.set('after', last);
    return url.href;
  };
  const worker = new SharedWorker('/audit/tail.js', { name: 'tail' });
  worker.port.onmessage = ({ data }) => {
    if (data.events) { take(data.events); }
    if (data.passed) {
      const { from, to } = data.passed;
      const row = document.createElement('li');
      const way = document.createElement('a');
      row.dataset.position = to;
      way.className = 'row';
      way.href = '/audit/timeline?order=asc&after=' + (from - 1);
      way.textContent = '⋯ ' + from + ' – ' + to;
      row.append(way);
      last = Math.max(last, to);
      put(row.outerHTML);
    }
    if (data.again) { worker.port.postMessage({ follow: address() }); }
    if (data.reload) { location.reload(); }
    button.dataset.state = data.state ?? button.dataset.state;
  };
  worker.port.postMessage({ follow: address() });
  addEventListener('pagehide', () => worker.port.postMessage({ leave: true }), { once: true });
  return () => {
    clearInterval(speak);
    worker.port.postMessage({ leave: true });
    worker.port.close();
    flush();
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
      if (end) { end(); end = null; } else { end = live(follow); }
      follow.setAttribute('aria-pressed', String(end !== null));
    };
  }
  watch();
};

addEventListener('popstate', () => { if (document.querySelector('[data-swap]')) { location.reload(); } });
addEventListener('pageshow', returnToRow);
document.addEventListener('click', (event) => {
  for (const menu of document.querySelectorAll('details.menu[open]')) {
    if (!menu.contains(event.target)) { menu.open = false; }
  }
});
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') {
    const menu = document.querySelector('details.menu[open]');
    if (menu) { menu.open = false; menu.querySelector('summary').focus(); }
  }
});
ready();
