"use strict";
// Before anything is drawn: the mode that was chosen here last, where one was.
{
  const root = document.documentElement;
  root.classList.add("scripted");
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
}
