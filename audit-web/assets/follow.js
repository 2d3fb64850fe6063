// What a page that follows the timeline live shows, and how the tabs of a browser share its stream. Without DOM and
// without connections: the page and the worker do what this decides, and tests try every order of things.

/** The most rows that a page keeps. */
export const KEPT = 200;

const ascending = (one, other) => one.row - other.row;

/**
 * The rows of a list: those that are shown, and those that wait because their reader is reading elsewhere.
 *
 * A row is `{ row, positions, html }`: its place in the list, the positions that it came with, and its text. Of a row
 * that comes again the later one counts. Rows wait together and are shown together, so that the rows on the page never
 * have a gap between them.
 */
export class List {
  /** `rows`: those on the page. `last`: everything up to there is in them. `more`: older rows are on another page. */
  constructor({ search, rows, last, more, kept = KEPT }) {
    this.search = search;
    this.shown = [...rows].sort(ascending);
    this.waiting = new Map();
    /** How many events are waiting, also those that are no longer kept. */
    this.news = 0;
    this.last = last;
    this.kept = kept;
    /** Rows below this one are on another page. */
    this.floor = more && this.shown.length > 0 ? this.shown[0].row : 0;
    /** Rows were taken off the page, because there are more than it keeps. */
    this.cut = false;
    this.away = false;
  }

  /**
   * Takes a message with everything in `after` < position <= `position`. Answers false where something before it is
   * missing: then the stream has to go on after `last`.
   */
  take({ search, after, position, items }) {
    if (search !== this.search || position <= this.last) return true;
    if (after > this.last) return false;
    for (const { row, positions, html, gap } of items) {
      const fresh = positions.filter((one) => one > this.last).length;
      if (fresh === 0 || row < this.floor) continue;
      this.waiting.set(row, { row, positions, html });
      if (!gap) this.news += fresh;
    }
    this.last = position;
    if (this.away) this.#forget();
    else this.flush();
    return true;
  }

  /** The reader reads elsewhere, where nothing may move; or is back. */
  scrolled(away) {
    this.away = away;
    if (!away) this.flush();
  }

  /** Shows everything that waits. */
  flush() {
    if (this.waiting.size === 0) return;
    this.shown = this.#all();
    this.waiting.clear();
    this.news = 0;
    const over = this.shown.length - this.kept;
    if (over <= 0) return;
    this.shown.splice(0, over);
    this.#raise();
  }

  #all() {
    const rows = new Map(this.shown.map((row) => [row.row, row]));
    for (const [key, row] of this.waiting) rows.set(key, row);
    return [...rows.values()].sort(ascending);
  }

  /** Forgets waiting rows that would be taken off the page at once. */
  #forget() {
    if (this.waiting.size <= this.kept) return;
    const oldest = this.#all().at(-this.kept).row;
    for (const key of this.waiting.keys()) if (key < oldest) this.waiting.delete(key);
  }

  #raise() {
    this.floor = this.shown[0].row;
    this.cut = true;
  }
}

/** By search, the one stream that all tabs with this search share. */
export class Hub {
  streams = new Map();

  /** A tab follows a search after a position. Answers whether the stream has to be opened, at its `last`. */
  join(port, search, after) {
    const stream = this.streams.get(search);
    if (!stream) {
      this.streams.set(search, { ports: new Set([port]), last: after, run: 0, state: 'begun', failures: 0 });
      return true;
    }
    stream.ports.add(port);
    // For a tab that is further behind the stream goes on from there; the others have a part of that already.
    if (after >= stream.last) return false;
    stream.last = after;
    return true;
  }

  /** A tab is gone. Answers the streams that nobody needs any more. */
  leave(port) {
    const over = [];
    for (const [search, stream] of this.streams) {
      if (stream.ports.delete(port) && stream.ports.size === 0) {
        this.streams.delete(search);
        over.push(search);
      }
    }
    return over;
  }

  /** A connection begins, at the stream's `last`; what an earlier one still brings no longer counts. */
  begin(search) {
    const stream = this.streams.get(search);
    stream.run += 1;
    stream.state = 'begun';
    return { run: stream.run, after: stream.last };
  }

  /** A message of a connection. Answers what the tabs are told; nothing where the connection is no longer the one. */
  received(search, run, { event, data }) {
    const stream = this.streams.get(search);
    if (!stream || stream.run !== run) return null;
    stream.failures = 0;
    switch (event) {
      case 'begin':
        return this.#now(stream, 'behind');
      case 'caught-up':
        return this.#now(stream, 'live');
      case 'events': {
        const told = { search, ...JSON.parse(data) };
        stream.last = Math.max(stream.last, told.position);
        return { events: told };
      }
      case 'passed': {
        const { from, to } = JSON.parse(data);
        stream.last = Math.max(stream.last, to);
        return { passed: { search, from, to } };
      }
      case 'resync':
      case 'signed-out':
        return { reload: true };
      default:
        return null;
    }
  }

  /** A connection was lost or refused. Answers what the tabs are told, and the pause before the next attempt. */
  lost(search, run, retryAfter = 0) {
    const stream = this.streams.get(search);
    if (!stream || stream.run !== run) return null;
    stream.failures += 1;
    return { ...this.#now(stream, 'lost'), pause: pauseAfter(stream.failures, retryAfter) };
  }

  /** The server refused the search, and would again. Answers what the tabs are told. */
  refused(search, run) {
    const stream = this.streams.get(search);
    return stream?.run === run ? this.#now(stream, 'refused') : null;
  }

  #now(stream, state) {
    stream.state = state;
    return { state };
  }
}

/** Whether the same request would be refused again. Not after a timeout, and not where there were too many requests. */
export function isFinal(status) {
  return status >= 400 && status < 500 && ![408, 429].includes(status);
}

/** The longest pause between two attempts, unless the server asks for a longer one, in milliseconds. */
const LONGEST = 60_000;

/** The longest pause that a server may ask for, in milliseconds. */
const LONGEST_ASKED = 15 * 60_000;

/** The pause after so many failures in a row; `retryAfter` is in seconds. */
export function pauseAfter(failures, retryAfter) {
  const grown = Math.min(1_000 * 2 ** Math.min(failures - 1, 10), LONGEST);
  return Math.max(grown, Math.min(retryAfter * 1_000 || 0, LONGEST_ASKED));
}

/** Reads server-sent events out of pieces of text. */
export class Messages {
  #held = '';

  /** The messages that are complete with this piece. */
  push(text) {
    const blocks = (this.#held + text).split(/\r?\n\r?\n/);
    this.#held = blocks.pop();
    return blocks.map((block) => {
      const message = { event: 'message', data: '' };
      const lines = [];
      for (const line of block.split(/\r?\n/)) {
        const [, name, value] = line.match(/^(\w*): ?(.*)$/s) ?? [null, line, ''];
        if (name === 'event') message.event = value;
        if (name === 'data') lines.push(value);
      }
      message.data = lines.join('\n');
      return message;
    });
  }
}
