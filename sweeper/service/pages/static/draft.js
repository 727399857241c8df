// What was written in the editor outlives the session: whoever had to sign in meanwhile finds it again,
// in the editor of the same address, and so does whoever did that in another tab, after which what this
// one sends is refused. Any other page of somebody who is signed in ends it, as that which follows a
// submission.
const KEPT = "draft";
const editor = document.querySelector("[data-editor]");
const person = editor?.dataset.person;
const address = location.pathname + location.search;

function read() {
  return JSON.parse(sessionStorage.getItem(KEPT));
}

function write(kept) {
  sessionStorage.setItem(KEPT, JSON.stringify(kept));
}

export function keepDraft(text) {
  write({ person, address, text });
}

// The text that was kept here; null where there is none, or it is of another person or address.
export function keptDraft() {
  const kept = read();
  const signedIn = document.referrer && new URL(document.referrer).pathname === "/login";
  const here = kept?.person === person && kept?.address === address;
  return here && (signedIn || kept.refused) ? kept.text : null;
}

// On the page that says why a text was refused: the way back to it.
function leadBack(problem, kept) {
  write({ ...kept, refused: true });
  const link = document.createElement("a");
  link.href = kept.address;
  link.textContent = "Back to what was written";
  problem.after(link);
}

document.addEventListener("htmx:before:response", (event) => {
  const problem = event.detail.ctx.response.raw.headers.get("x-problem");
  const kept = read();
  if (kept && problem === "/problems/csrf") write({ ...kept, refused: true });
});

const problem = document.querySelector("[data-problem]");
const kept = read();
if (problem && kept?.address.split("?")[0] === location.pathname) leadBack(problem, kept);
else if (!editor) sessionStorage.removeItem(KEPT);
