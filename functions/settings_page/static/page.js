// The page as a whole: its three tabs, the result of connecting, and the end of the session.

import { Api } from "./api.js";
import { BookMatch } from "./book_match.js";
import { SetupCheck } from "./check_setup.js";
import { ConnectionSection } from "./connection.js";
import { byId, element, replace, whilePressed } from "./dom.js";
import { isSetting, leadTo, reveal } from "./form.js";
import { XeroLists } from "./lists.js";
import { OrdersTab } from "./orders_tab.js";
import { outcome } from "./outcomes.js";
import { OverviewTab } from "./overview.js";
import { Preview } from "./preview.js";
import { SettingsTab } from "./settings_tab.js";

const { company, user, firstTab } = document.body.dataset;
const api = new Api(company);
const lists = new XeroLists(api);
const settings = new SettingsTab(api, lists, { company, user });
const connection = new ConnectionSection(api, lists, settings);
const check = new SetupCheck(api, settings);
const orders = new OrdersTab(api);
const match = new BookMatch(api);
const overview = new OverviewTab(api, orders);
const preview = new Preview(api, settings, orders);

const tabs = [...document.querySelectorAll("[role=tab]")];
/** Addresses that lead to a part of a tab, and the tab. */
const PARTS = { preview: "settings", "book-match": "orders" };

function select(name) {
  for (const tab of tabs) {
    const chosen = tab.id === `${name}-tab`;
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
    byId(tab.getAttribute("aria-controls")).hidden = !chosen;
  }
}

async function route() {
  const [to, id, state] = place();
  const tab = PARTS[to] ?? to;
  select(tab);
  if (state) orders.onlyState(state);
  if (tab === "orders") {
    const shown = orders.go(id);
    // the link that led here is gone
    if (state) byId("order-list-heading").focus();
    await shown;
  } else if (tab === "overview") overview.load();
  else if (settings.loaded) openOnSettings();
  if (to === "book-match") match.reveal();
}

/** Where the address leads: to a tab or a part of it, and there to an order or a setting, or to orders of a state. */
function place() {
  // after connecting, the settings follow
  const first = code ? "settings" : firstTab;
  const [, to, id = "", state = ""] = location.hash.match(/^#(overview|orders|settings|preview|book-match)(?:\/(.+)|\?status=(\w+))?$/) || [null, first];
  return [to, decoded(id), state];
}

/** The setting, or the preview, that the address leads to. Until the settings are there, neither is shown. */
function openOnSettings() {
  const [tab, id] = place();
  if (tab === "settings" && (isSetting(id) || id === "connection-heading")) reveal(id);
  if (tab === "preview" && id) preview.open(id);
}

/** What an address means. One that somebody cut or typed may mean nothing: then it is as it is. */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

tabs.forEach((tab, index) => {
  tab.addEventListener("click", () => {
    location.hash = tab.id.replace("-tab", "");
  });
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = tabs[(index + step + tabs.length) % tabs.length];
    next.focus();
    next.click();
  });
});
window.addEventListener("hashchange", route);

whilePressed(byId("log-out"), async () => {
  settings.keepDraft();
  try {
    await api.delete("session");
  } catch (refused) {
    // where the session is over already, nothing is left to end
    if (refused.status !== 401) {
      const words = `You are still logged in. ${refused.message}`;
      return replace(byId("session-notice"), element("p", { class: "notice bad" }, words));
    }
  }
  location.reload();
});

api.addEventListener("session-over", () => {
  const kept = settings.changed ? " What you typed is kept in this browser until then, except for the Client Secret." : "";
  const notice = element(
    "div",
    { class: "notice bad" },
    element("h2", {}, "Your time on this page is over"),
    element("p", {}, `It ends after an hour, when you log out, and when you open the settings in another browser. Close this window and open the settings from the platform again.${kept}`),
  );
  replace(byId("session-notice"), notice);
});

/** The result of connecting. It stands until a save or another state of the connection makes it untrue. */
function showOutcome(code) {
  const button = [...document.querySelectorAll("#get-access-token, #reconnect")].find((one) => !one.hidden).textContent;
  const { good, title, words, fix, goTo, doneBySaving } = outcome(code, button);
  const heading = element("h2", { tabindex: "-1" }, title);
  replace(
    byId("outcome"),
    element(
      "div",
      { class: `notice ${good ? "good" : "warn"}` },
      heading,
      element("p", {}, words),
      fix ? element("p", {}, fix) : "",
      goTo ? element("p", {}, leadTo(...goTo)) : "",
    ),
  );
  heading.focus();
  const { status } = connection.now ?? {};
  connection.onStatus = (now) => now !== status && replace(byId("outcome"));
  told = doneBySaving;
}

const address = new URL(location.href);
const code = address.searchParams.get("connect");
let told = "";
if (code) {
  address.searchParams.delete("connect");
  history.replaceState(null, "", address);
}
settings.onSaved = (what) => {
  check.settingsSaved();
  if (what === told) replace(byId("outcome"));
  // what was wrong when the button was pressed may be right now
  connection.error("");
  if (what === "credentials") connection.load();
};

route();
await Promise.all([settings.load(), connection.load().then(() => code && showOutcome(code))]);
// what was typed before the session ended must not be overlooked
if (settings.changed && !location.hash) location.hash = "settings";
if (settings.loaded) openOnSettings();
// the tab shows how many orders need attention, even before it is opened
if (!orders.pages) orders.load();
