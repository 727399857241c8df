// Keys: `g` and a letter leads to a page, `j` and `k` walk down a table, `?` lists them all.
export function keys({ switchTheme }) {
  const list = document.getElementById("keys");
  document.getElementById("help").addEventListener("click", () => list.showModal());
  let going = 0;

  const go = (key) => {
    const link = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
    if (link) location.assign(link.href);
  };
  const walk = (by) => {
    const rows = [...document.querySelectorAll("table.walk tbody tr")];
    if (!rows.length) return;
    const at = rows.findIndex((row) => "chosen" in row.dataset);
    const next = rows[Math.min(Math.max(at + by, 0), rows.length - 1)];
    if (rows[at]) delete rows[at].dataset.chosen;
    next.dataset.chosen = "";
    next.querySelector("a")?.focus();
  };

  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input, textarea, select, [contenteditable]");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || list.open) return;
    if (going && Date.now() - going < 1200) {
      going = 0;
      return go(event.key);
    }
    going = 0;
    const filter = document.querySelector("[data-filter]");
    if (event.key === "g") going = Date.now();
    else if (event.key === "?") list.showModal();
    else if (event.key === "d") switchTheme();
    else if (event.key === "j") walk(1);
    else if (event.key === "k") walk(-1);
    else if (event.key === "/" && filter) {
      event.preventDefault();
      filter.focus();
    }
  });
}
