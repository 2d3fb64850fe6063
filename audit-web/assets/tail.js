// One stream of events for all tabs of a browser that follow the same search: a browser opens few connections to one
// server, and each tab with its own would soon leave none for pages.

/** After this long without a message, the stream is lost, in milliseconds: the server sends one every 15 seconds. */
const SILENCE = 45_000;

/** The longest pause before a refused stream is requested again, in milliseconds. */
const LONGEST = 60_000;

/** By search: the stream, the ports that follow it, and the last position received. */
const streams = new Map();

const searchOf = (address) => {
  const url = new URL(address);
  url.searchParams.delete('after');
  return url.href;
};

const open = (search, stream) => {
  stream.source?.close();
  clearTimeout(stream.silent);
  const url = new URL(search);
  url.searchParams.set('after', stream.last);
  const source = new EventSource(url.href);
  stream.source = source;
  const heard = () => {
    clearTimeout(stream.silent);
    stream.silent = setTimeout(() => open(search, stream), SILENCE);
  };
  const tell = (message) => stream.ports.forEach((port) => port.postMessage(message));
  source.addEventListener('begin', () => { stream.pause = 1_000; heard(); tell({ state: 'live' }); });
  source.addEventListener('alive', heard);
  source.addEventListener('events', ({ data }) => {
    heard();
    const events = JSON.parse(data);
    stream.last = Math.max(stream.last, events.position);
    tell({ events, state: 'live' });
  });
  source.addEventListener('passed', ({ data }) => {
    heard();
    const passed = JSON.parse(data);
    stream.last = Math.max(stream.last, passed.to);
    tell({ passed });
  });
  source.addEventListener('resync', () => { source.close(); tell({ reload: true }); });
  source.addEventListener('signed-out', () => { source.close(); tell({ reload: true }); });
  source.onerror = () => {
    tell({ state: 'lost' });
    // The browser reconnects by itself, unless it was refused: then reconnect later, from the last position.
    if (source.readyState === EventSource.CLOSED) {
      clearTimeout(stream.silent);
      stream.silent = setTimeout(() => open(search, stream), stream.pause);
      stream.pause = Math.min(stream.pause * 2, LONGEST);
    }
  };
  heard();
};

const leave = (port) => {
  for (const [search, stream] of streams) {
    stream.ports.delete(port);
    if (stream.ports.size === 0) {
      stream.source?.close();
      clearTimeout(stream.silent);
      streams.delete(search);
    }
  }
};

onconnect = ({ ports: [port] }) => {
  port.onmessage = ({ data }) => {
    if (data.leave) { leave(port); return; }
    const search = searchOf(data.follow);
    const after = Number(new URL(data.follow).searchParams.get('after'));
    const there = streams.get(search);
    if (there) {
      there.ports.add(port);
      // A tab that joins later has missed the message that the stream is live.
      if (there.source?.readyState === EventSource.OPEN) { port.postMessage({ state: 'live' }); }
      // For a tab that is further behind, the stream restarts at its position; the others skip what they have.
      if (after < there.last) { there.last = after; open(search, there); }
      return;
    }
    const stream = { source: null, ports: new Set([port]), last: after, silent: null, pause: 1_000 };
    streams.set(search, stream);
    open(search, stream);
  };
  port.start();
};
