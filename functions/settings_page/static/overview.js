// The tab Overview: what was posted in the last days, what is left to do, and whether all is well.

import { checkItem } from "./check_setup.js";
import { showConnectionBanner } from "./connection_banner.js";
import { amount, byId, element, moment, replace, same, whilePressed } from "./dom.js";

const LOOK_AGAIN_AFTER = 30_000;
/** Named as on the Orders tab, where each leads to. */
const STANDING = { needs_attention: "Needs attention", waiting: "Waiting", queued: "On its way", set_aside: "Set aside" };
/** Pixels; the bar in percent of a day's place. */
const CHART = { height: 190, top: 24, bottom: 26, bar: 62 };

const SVG = "http://www.w3.org/2000/svg";
const number = new Intl.NumberFormat();
const short = new Intl.NumberFormat(undefined, { notation: "compact", maximumSignificantDigits: 3 });
const dayFormat = (options) => new Intl.DateTimeFormat(undefined, { timeZone: "UTC", ...options });
const dayLong = dayFormat({ weekday: "long", day: "numeric", month: "long" });
const dayShort = dayFormat({ weekday: "short", day: "numeric" });

const dateOf = ({ day }) => new Date(`${day}T00:00:00Z`);
const countWords = ({ orders, more }) => (more ? `more than ${number.format(orders)}` : number.format(orders));
const moneyWords = ({ money, more }) => money.map(({ currency, total }) => (more ? "more than " : "") + amount(total, currency));
const inCurrency = ({ money }, wanted) => money.find(({ currency }) => currency === wanted)?.total ?? "0";

export class OverviewTab {
  constructor(api) {
    this.api = api;
    this.panel = byId("overview-panel");
    setInterval(() => document.hidden || this.panel.hidden || this.load(), LOOK_AGAIN_AFTER);
  }

  async load() {
    const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
    try {
      this.show(await this.api.get("overview", { zone: timeZone }));
    } catch (refused) {
      byId("overview-loading").hidden = true;
      // figures that were read before stand, with their time
      const again = whilePressed(element("button", { type: "button", class: "quiet" }, "Try again"), () => this.load());
      replace(byId("overview-error"), element("div", { class: "notice bad" }, element("p", {}, refused.message), again));
    }
  }

  show(overview) {
    byId("overview-loading").hidden = true;
    byId("overview").hidden = false;
    replace(byId("overview-error"));
    replace(byId("overview-as-of"), "As of ", moment(new Date().toISOString()));
    if (same(overview, this.shown)) return;
    this.shown = overview;
    showConnectionBanner(overview.connection);
    const focused = this.panel.contains(document.activeElement) ? document.activeElement.hash : "";
    this.showFigures(overview);
    replace(byId("overview-health"), overview.health.map(sign));
    if (focused) [...this.panel.querySelectorAll("a")].find(({ hash }) => hash === focused)?.focus();
  }

  showFigures(overview) {
    const { days, week, standing, no_orders_yet: none } = overview;
    byId("overview-empty").hidden = !none;
    byId("overview-figures").hidden = none;
    if (none) return replace(byId("overview-empty"), emptyWords(overview));
    replace(
      byId("overview-tiles"),
      tile("posted", "Posted today", days.at(-1)),
      tile("posted", "Posted in seven days", week),
      Object.entries(STANDING).map(([state, words]) => tile(state, words, standing[state])),
    );
    replace(byId("overview-chart"), week.money.length ? chart(overview) : element("p", {}, week.orders ? "" : "Nothing was posted in these days."));
    const table = byId("overview-table");
    table.hidden = !week.orders;
    replace(table.querySelector("tbody"), days.map((day) => row(dayLong.format(dateOf(day)), day)));
    replace(table.querySelector("tfoot"), row("All seven days", week));
    byId("overview-words").textContent = aboutFigures(overview);
  }
}

function emptyWords({ connection }) {
  const then = connection.status === "connected" ? "Each is then posted to Xero by itself." : "They are posted by themselves once the company is connected to Xero.";
  return [
    element("h3", {}, "No orders yet"),
    element("p", {}, `Orders appear here as soon as the platform sends them, usually within a minute of being placed. ${then}`),
  ];
}

function tile(state, title, sums) {
  const alarming = state === "needs_attention" && sums.orders > 0;
  return element(
    "li",
    { class: alarming ? "bad" : "" },
    element("a", { href: `#orders?status=${state}` }, title),
    element("b", { class: sums.more ? "long" : "" }, countWords(sums)),
    moneyWords(sums).map((words) => element("span", {}, words)),
  );
}

function row(title, sums) {
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, title),
    element("td", { class: "amount" }, countWords(sums)),
    element("td", { class: "amount" }, sums.money.length ? moneyWords(sums).map((words) => element("div", {}, words)) : "–"),
  );
}

function aboutFigures({ zone, zone_known: known, week }) {
  return [
    "Money is what the sales invoices come to with tax, less their credit notes; each counts on the day on which it was posted.",
    week.money.length > 1 ? `The chart shows ${week.money[0].currency}; the other currencies are in the table.` : "",
    known ? `Days are those of your time zone, ${zone}.` : `Your browser’s time zone is not known here, so days are those of ${zone}.`,
    week.more ? "More orders were posted than are counted here." : "",
  ]
    .filter(Boolean)
    .join(" ");
}

function sign({ title, result, words, fix, link, at }) {
  const name = link ? element("a", { href: link }, title) : title;
  return checkItem(result, name, `${words} ${fix}`, at ? element("span", { class: "help" }, "As of ", moment(at), ".") : "");
}

// --- the chart ---

/** The money of each day as bars. Its figures are in the table below, so nobody has to read it. */
function chart({ days, week }) {
  const [{ currency }] = week.money;
  const totals = days.map((day) => inCurrency(day, currency));
  const most = Math.max(0, ...totals.map(Number)) || 1;
  const drawing = svg("svg", { class: "chart", width: "100%", height: CHART.height, role: "img", "aria-labelledby": "chart-title chart-words" });
  const place = 100 / days.length;
  const ground = CHART.height - CHART.bottom;
  const bars = days.flatMap((day, index) => {
    const height = Math.max(0, (Number(totals[index]) / most) * (ground - CHART.top));
    const middle = `${(index + 0.5) * place}%`;
    const bar = { x: `${index * place + (place * (100 - CHART.bar)) / 200}%`, width: `${(place * CHART.bar) / 100}%` };
    return [
      svg("rect", { class: "bar", ...bar, y: ground - height, height }),
      Number(totals[index]) ? svg("text", { x: middle, y: ground - height - 7 }, short.format(totals[index])) : "",
      svg("text", { x: middle, y: CHART.height - 7 }, dayShort.format(dateOf(day))),
    ];
  });
  drawing.append(
    svg("title", { id: "chart-title" }, `Money of each day in ${currency}`),
    svg("desc", { id: "chart-words" }, days.map((day, index) => `${dayLong.format(dateOf(day))}: ${amount(totals[index], currency)}`).join("; ")),
    ...bars.filter(Boolean),
    svg("line", { x1: "0", x2: "100%", y1: ground, y2: ground }),
  );
  return [element("p", { class: "help" }, `Money of each day, ${currency}`), drawing];
}

function svg(tag, attributes, text = "") {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}
