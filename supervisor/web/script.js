"use strict";
// Keeps the page as the daemon is: one stream of changed texts.  Everything is set as text, never as markup; the
// table itself comes from the server again where rows come or go, and after events, for history and links.
(() => {
  const RELOAD_AFTER = 300, LEAST_BETWEEN_RELOADS = 5000, RETRY = 5000;
  const live = () => document.getElementById("live");
  let rows = new Map(), source = null, timer = 0, loaded = Date.now(), wanted = "";

  function index() {
    rows = new Map();
    for (const row of document.querySelectorAll("[data-key]")) {
      const fields = {};
      for (const place of row.querySelectorAll("[data-field]")) fields[place.dataset.field] = place;
      rows.set(row.dataset.key, {row, fields});
    }
  }

  function put(key, texts) {
    const found = rows.get(key);
    if (!found) return;
    for (const [name, text] of Object.entries(texts)) {
      const place = found.fields[name];
      if (name === "tone") found.row.dataset.tone = text;
      else if (!place) continue;
      else if (name === "share") { place.hidden = text === ""; place.value = Number(text); }
      else if (place.textContent !== text) {
        place.textContent = text;
        const cell = place.closest("td");
        if (cell && !cell.querySelector(".last")) cell.classList.toggle("none", !/[^\s–]/.test(cell.textContent));
      }
    }
  }

  function tell(lines) {
    const box = document.getElementById("problems"), list = box?.querySelector("ul");
    if (!list) return;
    list.replaceChildren(...lines.map((line) => {
      const item = document.createElement("li");
      item.textContent = line;
      return item;
    }));
    box.hidden = lines.length === 0;
  }

  function say(text) { if (live().textContent !== text) live().textContent = text; }

  function reloadSoon() {
    if (timer) return;
    const wait = Math.max(RELOAD_AFTER, loaded + LEAST_BETWEEN_RELOADS - Date.now());
    timer = setTimeout(reload, wait);
  }

  async function reload() {
    timer = 0;
    loaded = Date.now();
    try {
      const answer = await fetch(location.pathname, {cache: "no-store"});
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const main = page.getElementById("main"), old = document.getElementById("main");
      const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      old.replaceWith(main);
      index();
      filter();
      if (focused) document.querySelector(`main a[href="${CSS.escape(focused)}"]`)?.focus({preventScroll: true});
    } catch { /* the stream tells that there is no connection */ }
  }

  function open() {
    if (source || document.hidden) return;
    source = new EventSource(document.body.dataset.stream);
    source.addEventListener("open", () => say("live"));
    source.addEventListener("status", (message) => {
      const data = JSON.parse(message.data);
      for (const [key, texts] of Object.entries(data.rows)) put(key, texts);
      if (data.problems) tell(data.problems);
      if (data.moved) reloadSoon();
    });
    source.addEventListener("event", (message) => {
      const event = JSON.parse(message.data);
      if (event.from !== event.to) reloadSoon();
    });
    source.addEventListener("error", () => {
      say("no connection to the daemon since " + new Date().toLocaleTimeString() + "; trying again");
      if (source && source.readyState === EventSource.CLOSED) { close(); setTimeout(again, RETRY); }
    });
  }

  function close() { if (source) source.close(); source = null; }
  function again() { if (!document.hidden && !source) { reloadSoon(); open(); } }

  function filter() {
    for (const body of document.querySelectorAll("tbody")) {
      let any = false;
      for (const row of body.rows) {
        const hit = !wanted || row.textContent.toLowerCase().includes(wanted);
        row.hidden = !hit;
        any ||= hit;
      }
      body.hidden = !any;
    }
  }

  function offerFilter() {
    if (document.querySelectorAll("tbody").length < 2) return;
    const field = document.createElement("input");
    field.type = "search";
    field.id = "filter";
    field.placeholder = "Filter: a name, a state, a word of the reason";
    field.setAttribute("aria-label", "Filter the rows");
    field.addEventListener("input", () => { wanted = field.value.trim().toLowerCase(); filter(); });
    document.querySelector("header").append(field);
  }

  // Orders: the page of an instance's orders as a dialog.  The token stays in this tab (sessionStorage of this origin,
  // port included), so that it is typed once.
  const TOKEN = "token of orders";
  let dialog = null, from = "";

  async function openOrders(address) {
    const answer = await fetch(address, {cache: "no-store"});
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const form = page.querySelector("form.orders"), head = page.querySelector("h1");
    if (!answer.ok || !form || !head) { location.href = address; return; }
    dialog?.remove();
    dialog = document.createElement("dialog");
    dialog.setAttribute("aria-labelledby", "orders-head");
    const title = document.createElement("h2"), told = document.createElement("p"), away = document.createElement("button");
    title.id = "orders-head";
    title.textContent = head.textContent;
    told.id = "answer";
    told.setAttribute("role", "status");
    away.type = "button";
    away.textContent = "Close";
    away.addEventListener("click", () => dialog.close());
    dialog.append(title, told, form, away);
    form.querySelector("#token").value = sessionStorage.getItem(TOKEN) || "";
    form.addEventListener("submit", give);
    form.addEventListener("change", () => sure(form)?.setCustomValidity(""));
    dialog.addEventListener("close", () => document.querySelector(`a.order[href="${CSS.escape(from)}"]`)?.focus());
    document.body.append(dialog);
    from = address;
    dialog.showModal();
    const first = form.querySelector("#token");
    (first.value ? form.querySelector("button:not([disabled])") || first : first).focus();
  }

  const sure = (form) => form.querySelector("[name=sure]");

  async function give(event) {
    event.preventDefault();
    const form = event.target, told = dialog.querySelector("#answer"), order = event.submitter?.value;
    if (order === "stop" && !sure(form).checked) {
      sure(form).setCustomValidity("Tick this first.");
      sure(form).reportValidity();
      return;
    }
    const body = new URLSearchParams(new FormData(form));
    body.set("order", order);
    try {
      const answer = await fetch(form.action, {method: "POST", body});
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      told.textContent = page.getElementById("answer")?.textContent || "The daemon answered " + answer.status;
      if (answer.status === 202) sessionStorage.setItem(TOKEN, body.get("token"));
      if (answer.status === 403) sessionStorage.removeItem(TOKEN);
    } catch { told.textContent = "The daemon does not answer: it is not known whether the order was taken."; }
    told.scrollIntoView({block: "nearest"});
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a.order");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button || !window.HTMLDialogElement) return;
    event.preventDefault();
    openOrders(link.getAttribute("href"));
  });

  index();
  offerFilter();
  open();
  document.addEventListener("visibilitychange", () => { if (document.hidden) close(); else again(); });
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => { if (event.persisted) again(); });
})();
