// One stream of events for all tabs of a browser that follow the same search: a browser opens few connections to one
// server, and each tab with its own would soon leave none for pages.

import { Hub, Messages, isFinal } from './follow.js';

/** After this long without a message, the stream is lost, in milliseconds: the server sends one every 15 seconds. */
const SILENCE = 45_000;

/** A tab that was asleep does not wait so long before the stream is opened again. */
const SHORT_SILENCE = 20_000;

const hub = new Hub();

/** By search: the connection, the timer of its silence or of the pause before the next one, and when it was heard last. */
const connections = new Map();

const tell = (search, message) => {
  if (message) { hub.streams.get(search)?.ports.forEach((port) => port.postMessage(message)); }
};

const end = (search) => {
  const connection = connections.get(search);
  connection?.abort?.abort();
  clearTimeout(connection?.timer);
  connections.delete(search);
};

const open = async (search) => {
  end(search);
  const { run, after } = hub.begin(search);
  const connection = { abort: new AbortController(), timer: null, heard: Date.now() };
  connections.set(search, connection);
  const lost = (retryAfter) => {
    // Another connection took its place, or nobody needs it any more.
    if (connections.get(search) !== connection) { return; }
    end(search);
    const told = hub.lost(search, run, retryAfter);
    if (!told) { return; }
    connections.set(search, { timer: setTimeout(() => open(search), told.pause), heard: connection.heard });
    tell(search, { state: told.state });
  };
  const heard = () => {
    clearTimeout(connection.timer);
    connection.heard = Date.now();
    connection.timer = setTimeout(lost, SILENCE);
  };
  const url = new URL(search);
  url.searchParams.set('after', after);
  heard();
  try {
    const answer = await fetch(url, { signal: connection.abort.signal, headers: { accept: 'text/event-stream' }, cache: 'no-store' });
    if ([401, 403].includes(answer.status)) {
      // The session is over: the page leads to where one signs in.
      if (connections.get(search) === connection) { end(search); tell(search, { reload: true }); }
      return;
    }
    if (isFinal(answer.status)) {
      const told = connections.get(search) === connection && hub.refused(search, run);
      if (told) { end(search); tell(search, told); }
      return;
    }
    if (!answer.ok) { lost(Number(answer.headers.get('retry-after'))); return; }
    const messages = new Messages();
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) { break; }
      heard();
      for (const message of messages.push(value)) { tell(search, hub.received(search, run, message)); }
    }
    lost();
  } catch {
    lost();
  }
};

/** A tab was asleep or without a network: a stream that was silent meanwhile, or waits for its next attempt, is opened. */
const wake = (port) => {
  for (const [search, { ports, state }] of hub.streams) {
    if (state === 'refused') { continue; }
    const silent = Date.now() - (connections.get(search)?.heard ?? 0) > SHORT_SILENCE;
    if (ports.has(port) && (state === 'lost' || silent)) { open(search); }
  }
};

onconnect = ({ ports: [port] }) => {
  port.onmessage = ({ data }) => {
    if (data.leave) { hub.leave(port).forEach(end); return; }
    if (data.wake) { wake(port); return; }
    const { search, after } = data.follow;
    if (hub.join(port, search, after)) { open(search); } else { port.postMessage({ state: hub.streams.get(search).state }); }
  };
  port.start();
};
