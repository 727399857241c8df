// Live pieces. `[data-live]` is fetched again (htmx, trigger "refresh") when the server says that
// something has happened: at once where it is in view, else when it comes into view. A piece that has
// not changed costs a 304.
import { inView } from "./in_view.js";

const EVERY = 1500; // milliseconds between two refreshes, however much happens
const BEHIND = 6000; // milliseconds; what the server says of a study may be five seconds old
const POLL = 5000; // where the stream of events is not to be had

export function follow() {
  const pieces = () => document.querySelectorAll("[data-live]");
  if (!pieces().length) return;
  const stale = new WeakSet(),
    tags = new WeakMap();

  const refresh = (piece) => {
    if (
      piece.contains(document.activeElement) &&
      document.activeElement.matches("input, textarea, select")
    )
      return;
    stale.delete(piece);
    htmx.trigger(piece, "refresh");
  };
  const near = inView("600px", (piece) => {
    if (stale.has(piece) || piece.querySelector(":scope > .late")) refresh(piece);
  });
  for (const piece of pieces()) near.watch(piece);

  document.addEventListener("htmx:config:request", (event) => {
    const tag = tags.get(event.detail.ctx.sourceElement);
    if (tag) event.detail.ctx.request.headers["If-None-Match"] = tag;
  });
  document.addEventListener("htmx:after:request", (event) => {
    const { sourceElement, response } = event.detail.ctx;
    const tag = response?.headers?.get?.("etag");
    if (tag && response.status === 200) tags.set(sourceElement, tag);
  });

  const look = () => {
    if (!pieces().length) return;
    for (const piece of pieces()) near.has(piece) ? refresh(piece) : stale.add(piece);
    document.dispatchEvent(new Event("sweep-changed"));
  };
  let waiting = 0,
    last = 0;
  const changed = () => {
    if (document.hidden) return;
    clearTimeout(last); // nothing may follow by which the last change would come to be seen
    last = setTimeout(look, BEHIND);
    if (waiting) return;
    waiting = setTimeout(() => {
      waiting = 0;
      look();
    }, EVERY);
  };
  document.addEventListener("visibilitychange", changed);
  listen(changed);
}

// The stream of events is open while the page is seen: a browser opens six connections to a server
// that speaks HTTP/1.1, for all tabs together. What happened meanwhile is seen with the refresh that
// follows when the page is.
function listen(changed) {
  const sweep = document.querySelector("[data-sweep]")?.dataset.sweep;
  const address = "/api/v1/events" + (sweep ? `?sweep=${encodeURIComponent(sweep)}` : "");
  let source = null,
    poll = 0;
  const calm = () => {
    clearInterval(poll);
    poll = 0;
  };
  const open = () => {
    source = new EventSource(address);
    source.onopen = calm;
    source.onmessage = changed;
    source.onerror = () => {
      if (!poll) poll = setInterval(changed, POLL);
    };
  };
  const close = () => {
    source?.close();
    source = null;
    calm();
  };
  const attend = () => {
    if (document.hidden) close();
    else if (!source) open();
  };
  document.addEventListener("visibilitychange", attend);
  addEventListener("pagehide", close);
  addEventListener("pageshow", attend);
  attend();
}
