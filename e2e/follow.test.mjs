// The rules of the list that is followed live, without a browser: whatever happens in whatever order, the rows that are
// shown and those that wait are exactly the wanted ones. `SEED=7 node --test follow.test.mjs` repeats a run.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Hub, List, Messages, isFinal, pauseAfter } from '../audit-web/assets/follow.js';

const KEPT = 8;
const LIMIT = 4;
const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));

function randomOf(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (count) => Math.floor(next() * count);
  return { below, one: (list) => list[below(list.length)], chance: (part) => next() < part };
}

// A log, a server that sends what a search wants of it, the worker of a browser, and its tabs.
class World {
  constructor(random, Kind = List) {
    Object.assign(this, { random, Kind, log: [], hub: new Hub(), connections: [], tabs: [] });
  }

  // A search is of some kinds of events, by event or by command.
  static searches = ['a', 'ab', 'abc', 'a grouped', 'abc grouped'];

  append() {
    const position = this.log.length + 1;
    const kind = this.random.one(['a', 'b', 'c']);
    const causes = this.log.filter((event) => event.kind === kind && event.row === event.position);
    const row = causes.length > 0 && this.random.chance(0.4) ? this.random.one(causes).position : position;
    this.log.push({ position, kind, row });
  }

  // The wanted rows in ascending order: each with its positions up to `last`.
  wanted(search, last = this.log.length) {
    const [kinds, grouped] = search.split(' ');
    const rows = new Map();
    for (const { position, kind, row } of this.log) {
      if (position > last || !kinds.includes(kind)) continue;
      const key = grouped ? row : position;
      rows.set(key, [...(rows.get(key) ?? []), position]);
    }
    return [...rows].map(([row, positions]) => ({ row, positions })).sort((one, other) => one.row - other.row);
  }

  // The rows that the server renders of everything in the log by now.
  item(search, row, positions) {
    const all = this.wanted(search).find((one) => one.row === row).positions;
    return { row, positions, html: all.join() };
  }

  // A tab opens the page of a search, and follows it.
  visit(tab, search) {
    if (tab.port) this.hub.leave(tab.port);
    const all = this.wanted(search);
    const rows = all.slice(-LIMIT).map(({ row, positions }) => this.item(search, row, positions));
    const more = all.length > rows.length;
    tab.port = { queue: [] };
    tab.list = new this.Kind({ search, rows, last: this.log.length, more, kept: KEPT });
    tab.floor = tab.list.floor;
    tab.shownTo = tab.list.last;
    this.follow(tab);
  }

  follow(tab) {
    if (this.hub.join(tab.port, tab.list.search, tab.list.last)) this.connect(tab.list.search);
  }

  connect(search) {
    const { run, after } = this.hub.begin(search);
    this.connections = this.connections.filter((one) => one.search !== search);
    this.connections.push({ search, run, told: after, at: after, head: this.log.length, queue: [{ event: 'begin', data: '0' }] });
  }

  // The server reads a few of the events after its position, and sends those that are wanted.
  send(connection) {
    const { search } = connection;
    const touched = this.wanted(search)
      .map(({ row, positions }) => ({ row, positions: positions.filter((one) => one > connection.at) }))
      .filter(({ positions }) => positions.length > 0);
    const fresh = touched.flatMap(({ positions }) => positions).sort((one, other) => one - other);
    const most = 1 + this.random.below(5);
    const position = fresh.length > most ? fresh[most - 1] : this.log.length;
    const items = touched.map(({ row, positions }) => [row, positions.filter((one) => one <= position)])
      .filter(([, positions]) => positions.length > 0)
      .map(([row, positions]) => this.item(search, row, positions));
    if (items.length > 0) {
      connection.queue.push({ event: 'events', data: JSON.stringify({ after: connection.told, position, items }) });
      connection.told = position;
    }
    connection.at = Math.max(connection.at, position);
    if (connection.head !== null && connection.at >= connection.head) {
      connection.head = null;
      connection.queue.push({ event: 'caught-up', data: '0' });
    }
  }

  // The worker takes a message of a connection, and tells the tabs.
  hear(connection) {
    const message = connection.queue.shift();
    const told = message && this.hub.received(connection.search, connection.run, message);
    if (told) for (const port of this.hub.streams.get(connection.search).ports) port.queue.push(told);
  }

  lose(connection) {
    this.connections = this.connections.filter((one) => one !== connection);
    this.hub.lost(connection.search, connection.run, this.random.one([0, 0, 7]));
  }

  // A tab takes a message that the worker has posted.
  take(tab, at = 0) {
    const [told] = tab.port.queue.splice(at, 1);
    if (told?.events && !tab.list.take(told.events)) this.follow(tab);
  }

  // Streams without a connection are opened again after their pause.
  reopen() {
    for (const search of this.hub.streams.keys()) {
      if (!this.connections.some((one) => one.search === search)) this.connect(search);
    }
  }

  step() {
    const { random } = this;
    const tab = random.one(this.tabs);
    const connection = random.one(this.connections);
    const acts = {
      append: () => { for (let count = random.below(3); count >= 0; count -= 1) this.append(); },
      send: () => connection && this.send(connection),
      hear: () => connection && this.hear(connection),
      take: () => this.take(tab),
      takeAnother: () => this.take(tab, random.below(tab.port.queue.length)),
      takeTwice: () => { if (tab.port.queue.length > 0) { tab.port.queue.unshift(tab.port.queue[0]); this.take(tab); } },
      lose: () => connection && this.lose(connection),
      reopen: () => this.reopen(),
      away: () => tab.list.scrolled(true),
      back: () => tab.list.scrolled(false),
      press: () => tab.list.flush(),
      filter: () => this.visit(tab, random.one(World.searches)),
    };
    const often = ['append', 'append', 'send', 'send', 'send', 'hear', 'hear', 'hear', 'take', 'take', 'take', 'take'];
    acts[random.chance(0.75) ? random.one(often) : random.one(Object.keys(acts))]();
    this.tabs.forEach((one) => this.holds(one));
  }

  // Shown and waiting rows are the wanted ones: in order, none missing, none twice, each with all of its events.
  holds(tab, last = tab.list.last) {
    const { list } = tab;
    const keys = list.shown.map(({ row }) => row);
    assert.deepEqual(keys, [...new Set(keys)].sort((one, other) => one - other), 'the shown rows are in order, each once');
    assert.ok(list.shown.length <= KEPT && list.waiting.size <= KEPT, 'no more are kept than may be');
    assert.equal(list.floor, list.cut ? keys[0] : tab.floor, 'the page says where its rows end');
    const there = new Map([...list.shown, ...list.waiting.values()].map((one) => [one.row, one]));
    const wanted = this.wanted(list.search, last).filter(({ row }) => row >= list.floor);
    const found = [...there.values()].sort((one, other) => one.row - other.row).slice(-KEPT);
    assert.deepEqual(found.map(({ row }) => row), wanted.slice(-KEPT).map(({ row }) => row), 'no gap, none too many');
    for (const { row, positions } of wanted.slice(-KEPT)) {
      const html = there.get(row).html.split(',').map(Number);
      assert.deepEqual(html.filter((one) => one <= last), positions, 'a row has all of its events');
    }
    if (list.waiting.size === 0) tab.shownTo = list.last;
    const since = wanted.flatMap(({ positions }) => positions).filter((one) => one > tab.shownTo);
    assert.equal(list.news, since.length, 'the button counts events');
    if (!list.away) assert.equal(list.waiting.size, 0, 'nothing waits for a reader who is there');
  }

  // Everything arrives; then everything is there.
  settle() {
    this.reopen();
    for (let busy = true; busy;) {
      busy = false;
      for (const connection of [...this.connections]) {
        const { at, queue } = connection;
        this.send(connection);
        if (connection.at !== at || queue.length > 0) busy = true;
        while (connection.queue.length > 0) this.hear(connection);
      }
      for (const tab of this.tabs) while (tab.port.queue.length > 0) { busy = true; this.take(tab); }
    }
    for (const tab of this.tabs) {
      tab.list.flush();
      this.holds(tab);
      const wanted = this.wanted(tab.list.search).filter(({ row }) => row >= tab.list.floor).map(({ row }) => row);
      assert.deepEqual(tab.list.shown.map(({ row }) => row), wanted.slice(-KEPT), 'in the end all are there');
    }
  }
}

function lives(seed, Kind) {
  const random = randomOf(seed);
  const world = new World(random, Kind);
  for (let count = random.below(12); count > 0; count -= 1) world.append();
  for (let count = 1 + random.below(3); count > 0; count -= 1) {
    const tab = {};
    world.visit(tab, random.one(World.searches));
    world.tabs.push(tab);
  }
  for (let count = 0; count < 120; count += 1) world.step();
  world.settle();
}

test('shown and waiting rows are always exactly the wanted ones, whatever scrolls, arrives, breaks or is filtered', () => {
  console.log(`the rows of a list: SEED=${SEED}`);
  for (let run = 0; run < 600; run += 1) {
    try {
      lives(SEED + run);
    } catch (error) {
      error.message = `SEED=${SEED + run}: ${error.message}`;
      throw error;
    }
  }
});

// The list as it was once: who is back at the top gets new rows above those that wait.
class Hasty extends List {
  scrolled(away) { this.away = away; }

  take(message) {
    if (this.away || this.waiting.size === 0) return super.take(message);
    const { waiting, news } = this;
    this.waiting = new Map();
    const taken = super.take(message);
    Object.assign(this, { waiting, news });
    return taken;
  }
}

// The list without a look at what a message begins after.
class Trusting extends List {
  take(message) { return super.take({ ...message, after: Math.min(message.after, this.last) }); }
}

for (const Broken of [Hasty, Trusting]) {
  test(`a list that is broken on purpose is noticed: ${Broken.name}`, () => {
    assert.throws(() => { for (let seed = 0; seed < 200; seed += 1) lives(seed, Broken); }, assert.AssertionError);
  });
}

const event = (position) => ({ row: position, positions: [position], html: `#${position}` });
const message = (after, ...positions) => ({ search: 's', after, position: positions.at(-1), items: positions.map(event) });
const listOf = (rows, more = {}) => new List({ search: 's', rows: rows.map(event), last: rows.at(-1) ?? 0, more: false, ...more });

test('17 that came while the reader was elsewhere stand below the 3 that came after', () => {
  const list = listOf([1, 2, 3]);
  const upTo = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => from + index);
  list.scrolled(true);
  list.take(message(3, ...upTo(4, 20)));
  assert.equal(list.news, 17);
  assert.deepEqual(list.shown.map(({ row }) => row), [1, 2, 3]);
  list.scrolled(false);
  list.take(message(20, 21, 22, 23));
  assert.deepEqual(list.shown.map(({ row }) => row), upTo(1, 23));
});

test('a message of another search, an old one and one after a gap change nothing', () => {
  const list = listOf([1, 2]);
  assert.equal(list.take({ ...message(2, 3), search: 'other' }), true);
  assert.equal(list.take(message(0, 1, 2)), true);
  assert.equal(list.take(message(3, 4)), false, 'it has to be sent again');
  assert.deepEqual(list.shown.map(({ row }) => row), [1, 2]);
  assert.equal(list.take(message(1, 2, 3)), true, 'the stream of another tab began earlier');
  assert.deepEqual(list.shown.map(({ row }) => row), [1, 2, 3]);
});

test('what the server skipped is a row of its own, and no event', () => {
  const list = listOf([1]);
  list.scrolled(true);
  assert.ok(list.take({ search: 's', after: 1, position: 9_000, items: [{ row: 9_000, positions: [9_000], html: 'gap', gap: true }] }));
  assert.ok(list.take(message(9_000, 9_001)));
  assert.equal(list.news, 1);
  list.flush();
  assert.deepEqual(list.shown.map(({ html }) => html), ['#1', 'gap', '#9001']);
});

test('a page keeps the newest rows, and says that it took others off', () => {
  const list = listOf([1, 2, 3], { kept: 3 });
  assert.equal(list.cut, false);
  list.take(message(3, 4, 5));
  assert.deepEqual([list.shown.map(({ row }) => row), list.cut, list.floor], [[3, 4, 5], true, 3]);
});

test('one stream goes on at the position of the tab that is furthest behind', () => {
  const hub = new Hub();
  const [first, second] = [{}, {}];
  assert.equal(hub.join(first, 's', 10), true);
  const { run, after } = hub.begin('s');
  assert.equal(after, 10);
  assert.deepEqual(hub.received('s', run, { event: 'begin', data: '12' }), { state: 'behind' });
  hub.received('s', run, { event: 'events', data: '{"after":10,"position":12,"items":[]}' });
  assert.equal(hub.join(second, 's', 12), false);
  assert.equal(hub.join(second, 's', 11), true);
  assert.deepEqual(hub.begin('s'), { run: run + 1, after: 11 });
  assert.equal(hub.received('s', run, { event: 'caught-up', data: '12' }), null, 'the earlier connection is over');
  assert.deepEqual(hub.received('s', run + 1, { event: 'caught-up', data: '12' }), { state: 'live' });
  assert.deepEqual(hub.leave(first), []);
  assert.deepEqual(hub.leave(second), ['s']);
});

test('attempts become rarer, and never come sooner than the server asks for', () => {
  assert.deepEqual([1, 2, 3, 7, 99].map((failures) => pauseAfter(failures, 0)), [1_000, 2_000, 4_000, 60_000, 60_000]);
  assert.equal(pauseAfter(1, 7), 7_000);
  assert.equal(pauseAfter(1, Number.NaN), 1_000);
  assert.equal(pauseAfter(1, 1e9), 15 * 60_000);
  const hub = new Hub();
  hub.join({}, 's', 0);
  const { run } = hub.begin('s');
  assert.deepEqual(hub.lost('s', run, 0), { state: 'lost', pause: 1_000 });
  assert.equal(hub.lost('s', hub.begin('s').run, 0).pause, 2_000);
  hub.received('s', hub.begin('s').run, { event: 'alive', data: '' });
  assert.equal(hub.lost('s', hub.streams.get('s').run, 0).pause, 1_000, 'a connection that worked begins the count anew');
});

test('messages are read whatever pieces they come in', () => {
  const sent = 'event: begin\nid: 7\ndata: 7\n\n:a comment\n\nevent:events\ndata: {"a":\ndata: 1}\n\nevent: alive\r\ndata:\r\n\r\n';
  for (let size = 1; size <= sent.length; size += 1) {
    const reader = new Messages();
    const got = [];
    for (let at = 0; at < sent.length; at += size) got.push(...reader.push(sent.slice(at, at + size)));
    assert.deepEqual(got.filter(({ event: kind }) => kind !== 'message'), [
      { event: 'begin', data: '7' }, { event: 'events', data: '{"a":\n1}' }, { event: 'alive', data: '' },
    ], `in pieces of ${size}`);
  }
});

test('a stream that is refused for good is not tried again, and the tabs are told', () => {
  const hub = new Hub();
  const [tab, other] = [{}, {}];
  assert.equal(hub.join(tab, 'at=7', 0), true);
  const { run } = hub.begin('at=7');
  assert.equal(hub.refused('at=7', run - 1), null, 'an earlier connection says nothing');
  assert.deepEqual(hub.refused('at=7', run), { state: 'refused' });
  assert.equal(hub.join(other, 'at=7', 0), false);
  assert.equal(hub.streams.get('at=7').state, 'refused');
  const final = [200, 400, 404, 408, 422, 429, 500, 503].filter(isFinal);
  assert.deepEqual(final, [400, 404, 422]);
});
