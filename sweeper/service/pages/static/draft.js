// What was written in the editor outlives the session: whoever had to sign in meanwhile finds it again,
// in the editor of the same address. Any other page of somebody who is signed in ends it, as that
// which follows a submission.
const KEPT = "written";
const editor = document.querySelector("[data-editor]");
const place = `${editor?.dataset.person} ${location.pathname}${location.search}`;

export function keepDraft(text) {
  sessionStorage.setItem(KEPT, JSON.stringify({ place, text }));
}

// The text that was kept here; null where there is none, or it is of another person or address.
export function keptDraft() {
  const kept = JSON.parse(sessionStorage.getItem(KEPT));
  const signedIn = document.referrer && new URL(document.referrer).pathname === "/login";
  return signedIn && kept?.place === place ? kept.text : null;
}

if (!editor) sessionStorage.removeItem(KEPT);
