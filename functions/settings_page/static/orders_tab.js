// The tab Orders: every order's state, and what a person can do about it.

import { AfterPosting, STANDS, beingCorrected } from "./corrections.js";
import { amount, byId, day, element, moment, replace, same, upperFirst, whilePressed } from "./dom.js";
import { withLinks } from "./form.js";
import { csvOf, keepFile } from "./orders_csv.js";
import { KINDS, badge, factsOfOrder, toPreview } from "./order_page.js";
import { ReadAgain, canRetry, helpWith, problemOf, retryOf, sentenceOf, setAside, toBePressed, wasSetAside, whoFixes, whyOf } from "./problems.js";
import { Selection } from "./selection.js";

const UNDER_WAY = new Set(["queued", "posting"]);
const LOOK_AGAIN_AFTER = 8_000;
const LOOK_FOR_NEW_AFTER = 30_000;
/** After a retry: those that stop again come back to the list, and were not in it meanwhile. */
const FOLLOWED_FOR = 60_000;
const FIRST_LOOK_AFTER = 3_000;
const GATHERED_AT_FIRST = 5;
const TYPING_PAUSE = 300;

const path = (id) => `orders/${encodeURIComponent(id)}`;

const RETRY = "Retry";
const RETRIED_TOGETHER = new Set(["needs_attention", "skipped"]);
/** A person looks at each order, and decides. */
const ONE_BY_ONE = new Set(["no_sale", "may_already_be_in"]);
const MORE_THAN_POSTED = new Set(["part_paid", "part_credited", "paid", "credited", "billed", "voided", "deleted"]);
const COUNTED_UP_TO = 1000;

const countWords = (count, more = count >= COUNTED_UP_TO) => (more ? `${count}+` : String(count));
/** What orders come to, in each currency. */
const moneyWords = (money, more) => {
  const sums = Object.entries(money).map(([currency, sum]) => amount(sum, currency));
  return sums.length ? (more ? "more than " : "") + sums.join(" + ") : "";
};
const retriedWords = ({ retried, more }) =>
  `${retried} ${retried === 1 ? "order is on its" : "orders are on their"} way again.${more ? " The others follow by themselves." : ""}`;

function outcomeWords({ state }, { no_sale: choice }) {
  if (UNDER_WAY.has(state)) return "On its way again. What becomes of it shows here in a moment.";
  if (state === "posted") return "Accepted. It counts as posted.";
  if (choice === "skip" && state === "skipped") return "Skipped. It can still be posted later.";
  return "It was looked at again and is where it was.";
}

export class OrdersTab {
  constructor(api) {
    this.api = api;
    this.stopped = 0;
    this.readAgain = new ReadAgain(api, () => this.lookNow());
    this.filter = byId("order-filter");
    this.orders = [];
    this.cursor = null;
    this.pages = 0;
    this.turn = 0;
    this.problems = new Map();
    this.gathered = [];
    this.allGathered = false;
    this.followUntil = 0;
    this.open = null;
    this.lookedAt = Date.now();
    this.afterPosting = new AfterPosting(api, this);
    this.selection = new Selection(api, {
      say: (words) => (byId("orders-status").textContent = words),
      failed: (words) => this.listError(words),
      changed: () => this.reloadAndFocus(),
    });
    this.filter.addEventListener("submit", (event) => {
      event.preventDefault();
      this.load();
    });
    this.filter.addEventListener("change", (event) => event.target.type !== "search" && this.load());
    this.filter.addEventListener("input", (event) => {
      if (event.target.type !== "search") return;
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.load(), TYPING_PAUSE);
    });
    whilePressed(byId("refresh-orders"), () => this.load());
    whilePressed(byId("download-orders"), () => this.download());
    whilePressed(byId("more-orders"), () => this.loadMore());
    byId("all-gathered").addEventListener("click", () => {
      this.allGathered = true;
      this.showGathered();
      byId("gathered-problems").children[GATHERED_AT_FIRST]?.querySelector("summary").focus();
    });
    whilePressed(byId("retry-problem"), () => this.retryAll(byId("order-problem").value));
    setInterval(() => this.lookAgain(), LOOK_AGAIN_AFTER);
  }

  get asked() {
    return Object.fromEntries(new FormData(this.filter));
  }

  // --- the list ---

  /** Filter by a state alone. The list is read when it is shown. */
  onlyState(state) {
    this.filter.reset();
    this.filter.elements.status.value = state;
    this.pages = 0;
    this.open = null;
  }

  async load({ quietly = false } = {}) {
    const turn = ++this.turn;
    clearTimeout(this.typing);
    if (!same(this.asked, this.listed)) this.selection.clear();
    this.listed = this.asked;
    if (!quietly) byId("orders-status").textContent = this.pages ? "Searching …" : "Loading …";
    try {
      const answer = await this.api.get("orders", this.asked);
      if (turn !== this.turn) return;
      this.take(answer, answer.orders, quietly);
      this.pages = 1;
    } catch (refused) {
      if (turn === this.turn && !quietly) this.listError(refused.message);
    }
  }

  async loadMore() {
    const turn = ++this.turn;
    try {
      const answer = await this.api.get("orders", { ...this.asked, cursor: this.cursor });
      if (turn !== this.turn) return;
      // one that is tried again meanwhile comes a second time
      const before = this.orders.filter(({ id }) => answer.orders.every((order) => order.id !== id));
      this.take(answer, [...before, ...answer.orders]);
      this.pages += 1;
      byId("order-rows").children[before.length]?.querySelector("a").focus();
    } catch (refused) {
      if (turn === this.turn) this.listError(refused.message);
    }
  }

  /** All that the filter finds, as a file. */
  async download() {
    const say = (words) => (byId("orders-status").textContent = words);
    const orders = (count) => `${count} ${count === 1 ? "order" : "orders"}`;
    this.listError("");
    say("Downloading …");
    try {
      let count = 0;
      const parts = await csvOf(this.api, this.asked, (found) => say(`Downloading … ${orders((count = found))}`));
      keepFile(parts, `orders-${new Date().toISOString().slice(0, 10)}.csv`);
      say(`${orders(count)} downloaded.`);
    } catch (refused) {
      this.listError(refused.message);
    }
  }

  take({ cursor, counts, money, more, problems, gathered }, orders, quietly = false) {
    this.listError("");
    const before = this.orders;
    this.orders = orders;
    this.cursor = cursor || null;
    if (counts) this.showCounts(counts, money, more);
    this.sayOpen();
    this.showProblems(problems);
    this.showGathered(gathered);
    if (!quietly || !same(before, orders)) this.showList(quietly);
    this.selection.show(orders);
    byId("more-orders").hidden = !this.cursor;
    this.showRetryAll();
  }

  showList(quietly) {
    const rows = byId("order-rows");
    const focused = rows.contains(document.activeElement) ? document.activeElement : null;
    replace(rows, this.orders.map((order) => listed(order, this.selection.boxOf(order))));
    if (focused) rows.querySelector(`${focused.localName}[data-id="${CSS.escape(focused.dataset.id)}"]`)?.focus();
    const none = !this.orders.length;
    byId("no-orders").hidden = !none;
    if (none) replace(byId("no-orders"), this.emptyWords());
    if (quietly) return;
    const shown = this.orders.length;
    byId("orders-status").textContent = none ? "" : `${shown} ${shown === 1 ? "order" : "orders"}${this.cursor ? ", and more" : ""}`;
    byId("more-orders").textContent = none ? "Look further back" : "Show more";
  }

  emptyWords() {
    if (this.cursor) return [element("h3", {}, "Nothing found so far"), element("p", {}, "Only the latest orders were looked through.")];
    const { status, search, problem, from, to } = this.asked;
    if (!status && !search && !problem && !from && !to) {
      return [element("h3", {}, "No orders yet"), element("p", {}, "Orders appear here as soon as the platform sends them, usually within a minute of being placed.")];
    }
    if (status === "needs_attention" && !search && !problem && !from && !to) {
      return [element("h3", {}, "Nothing needs attention"), element("p", {}, "Every order is posted, or on its way.")];
    }
    if (status === "changed" && !search && !problem && !from && !to) {
      return [element("h3", {}, "Nothing changed after posting"), element("p", {}, "Every posted order is as it was, or has been dealt with.")];
    }
    const clear = element("button", { type: "button", class: "quiet" }, "Show all orders");
    clear.addEventListener("click", () => {
      this.filter.reset();
      this.load();
      byId("order-list-heading").focus();
    });
    return [element("h3", {}, "No order fits"), element("p", {}, "Try another state, a part of the number or reference, or other dates."), clear];
  }

  showCounts(counts, money, more) {
    const show = (place, words) => {
      place.hidden = !words;
      place.textContent = words ? ` ${words}` : "";
    };
    for (const place of this.filter.querySelectorAll("[data-count]")) {
      const state = place.dataset.count;
      show(place, counts[state] ? countWords(counts[state], more.includes(state)) : "");
      show(place.nextElementSibling, counts[state] ? moneyWords(money[state], more.includes(state)) : "");
    }
    this.showStopped(counts.needs_attention || 0, more.includes("needs_attention"));
  }

  /** How many orders need attention, on the tab itself. */
  showStopped(trouble, more) {
    this.stopped = trouble;
    const total = byId("orders-count");
    total.hidden = !trouble;
    replace(total, ` ${countWords(trouble, more)}`, element("span", { class: "hidden-words" }, trouble === 1 ? " needs attention" : " need attention"));
  }

  showProblems(counted) {
    const select = byId("order-problem");
    const chosen = select.value;
    const before = this.problems.get(chosen);
    if (counted) this.problems = new Map(counted.map((one) => [one.code, one]));
    for (const order of this.orders) {
      const why = whyOf(order);
      if (why && !this.problems.has(why)) this.problems.set(why, { title: order.title });
    }
    if (chosen && !this.problems.has(chosen)) this.problems.set(chosen, { ...before, count: 0 });
    const choices = [...this.problems].map(([code, { title, count }]) => [code, title + (count ? ` (${countWords(count)})` : "")]);
    choices.sort(([, one], [, other]) => one.localeCompare(other));
    replace(select, [["", "Any"], ...choices].map(([value, words]) => element("option", { value, selected: value === chosen }, words)));
    select.value = chosen;
  }

  /** The problems above the list, each with its number of orders and what to do. A press lists them. */
  showGathered(gathered) {
    if (gathered) this.gathered = gathered;
    const { status, problem, search } = this.asked;
    const asked = ["", "needs_attention"].includes(status) && !search;
    const fitting = this.gathered.filter((one) => asked && (!problem || one.problem.code === problem));
    const shown = this.allGathered ? fitting : fitting.slice(0, GATHERED_AT_FIRST);
    byId("gathered").hidden = !shown.length;
    byId("all-gathered").hidden = shown.length === fitting.length;
    byId("all-gathered").textContent = `Show all ${fitting.length}`;
    if (same(shown, this.gatheredShown)) return;
    this.gatheredShown = shown;
    const listThem = ({ code }) => {
      byId("order-problem").value = code;
      this.load();
      byId("order-list-heading").focus();
    };
    const list = byId("gathered-problems");
    const focused = list.contains(document.activeElement) ? document.activeElement : null;
    const opened = new Set([...list.querySelectorAll("details[open]")].map(({ dataset }) => dataset.code));
    replace(list, shown.map((one) => gatheredItem(one, opened.has(one.problem.code), !problem, listThem)));
    const again = focused && [...list.querySelectorAll(focused.localName)].find((one) => one.closest("[data-code]").dataset.code === focused.closest("[data-code]").dataset.code);
    again?.focus();
  }

  showRetryAll() {
    const { problem } = this.asked;
    const here = this.orders.filter((order) => whyOf(order) === problem && canRetry(order) && RETRIED_TOGETHER.has(order.state));
    const able = Boolean(problem) && !ONE_BY_ONE.has(problem) && here.length > 0;
    if (able) {
      const label = here[0].retry_label;
      const again = label === RETRY ? "can be tried again at once" : "can be freed at once";
      byId("retry-all-words").textContent = `Once the cause is put right, all orders stopped by “${this.problems.get(problem).title}” ${again}.`;
      byId("retry-problem").textContent = label === RETRY ? "Retry all of them" : `${label}: all of them`;
    }
    byId("retry-all").hidden = !able;
  }

  listError(words) {
    if (words) byId("orders-status").textContent = "";
    replace(byId("orders-error"), words ? element("p", { class: "notice bad" }, words) : "");
  }

  async retryAll(problem) {
    try {
      const answer = await this.api.post("orders/retry", { problem });
      await this.reloadAndFocus();
      byId("orders-status").textContent = retriedWords(answer);
    } catch (refused) {
      this.listError(refused.message);
    }
  }

  async reloadAndFocus() {
    this.follow();
    await this.load({ quietly: true });
    byId("orders-told").focus();
  }

  follow() {
    this.followUntil = Date.now() + FOLLOWED_FOR;
    setTimeout(() => this.lookAgain(), FIRST_LOOK_AFTER);
  }

  /** Orders on their way change by themselves, so the page reloads them while somebody looks at it. */
  lookAgain() {
    if (document.hidden || byId("orders-panel").hidden) return;
    this.sayOpen();
    const underWay = (!this.open && Date.now() < this.followUntil) || (this.open ? [this.open] : this.orders).some((order) => UNDER_WAY.has(order.state) || beingCorrected(order));
    if (!underWay && Date.now() - this.lookedAt < LOOK_FOR_NEW_AFTER) return;
    this.lookNow();
  }

  /** An open tab has Xero read more often. */
  sayOpen() {
    if (byId("orders-panel").hidden) return;
    const waits = ({ state, problem }) => state === "needs_attention" && Boolean(problem?.by_itself);
    this.readAgain.look(this.stopped, this.orders.some(waits), !this.open || waits(this.open));
  }

  lookNow() {
    this.lookedAt = Date.now();
    if (this.open) this.show(this.open.id, { quietly: true });
    else if (this.pages === 1) this.load({ quietly: true });
  }

  // --- one order ---

  /** The list when `id` is empty, else that order. */
  async go(id) {
    const before = this.open?.id;
    byId("order-list").hidden = Boolean(id);
    byId("one-order").hidden = !id;
    if (id) return this.show(id);
    this.open = null;
    this.sayOpen();
    if (!this.pages) await this.load();
    else this.load({ quietly: true });
    if (!before) return;
    const link = [...byId("order-rows").querySelectorAll("a")].find((one) => one.dataset.id === before);
    (link || byId("order-list-heading")).focus();
  }

  async show(id, { quietly = false } = {}) {
    if (!quietly) {
      this.open = { id };
      this.sayOpen();
      byId("one-order-heading").textContent = `Order ${id}`;
      replace(byId("one-order-body"));
      this.orderError("");
      byId("one-order-status").textContent = "Loading …";
      byId("one-order-heading").focus();
    }
    try {
      const order = await this.api.get(path(id));
      if (this.open?.id !== id) return;
      if (!quietly) byId("one-order-status").textContent = "";
      if (!quietly || !same(order, this.open)) this.showOrder(order);
    } catch (refused) {
      if (this.open?.id !== id || quietly) return;
      byId("one-order-status").textContent = "";
      this.orderError(refused.status === 404 ? `There is no order ${id} here.` : refused.message);
    }
  }

  /** Show an order as it stands after a press, and say what came of it. */
  tell(order, words) {
    this.showOrder(order);
    byId("one-order-status").textContent = words;
    byId("one-order-heading").focus();
  }

  showOrder(order) {
    this.open = order;
    this.sayOpen();
    const focused = byId("one-order-body").contains(document.activeElement);
    replace(byId("one-order-heading"), `Order ${order.id} `, badge(order));
    const did = async (words) => {
      await this.show(order.id, { quietly: true });
      byId("one-order-status").textContent = words;
      byId("one-order-heading").focus();
    };
    const about = [order, this.api, did, (words) => this.orderError(words)];
    replace(
      byId("one-order-body"),
      wasSetAside(...about),
      ...(order.set_aside ? [] : [this.problemOf(order), ...helpWith(...about)]),
      order.problem || order.set_aside || order.correction?.problem ? "" : element("p", {}, withLinks(order.words)),
      !order.problem && order.can_retry ? element("p", { class: "actions" }, this.mainButton(order), this.retryAllButton(order)) : "",
      order.until ? element("p", { class: "help" }, goesOn(order)) : "",
      setAside(...about),
      order.set_aside ? "" : this.afterPosting.decisions(order),
      toPreview(order),
      ...factsOfOrder(order, this.afterPosting.standing(order)),
    );
    if (focused) byId("one-order-heading").focus();
  }

  problemOf(order) {
    const { problem } = order;
    if (!problem) return "";
    const buttons = [
      this.mainButton(order),
      problem.code === "no_sale" ? this.retryButton(order, "Skip", { no_sale: "skip" }) : "",
      problem.code === "item_not_tracked" ? this.retryButton(order, "Use it as it is", { items_as_they_are: true }) : "",
      this.retryAllButton(order),
    ];
    return problemOf(order.id, problem, canRetry(order) ? element("p", { class: "actions" }, buttons) : "");
  }

  mainButton(order) {
    // Retry stands out only where the fix says to press it
    const [words, body] = retryOf(order);
    return this.retryButton(order, words, body, body.no_sale || toBePressed(order) ? "main" : "quiet");
  }

  retryButton(order, words, body, look = "quiet") {
    return whilePressed(element("button", { type: "button", class: look }, words), async () => {
      this.orderError("");
      try {
        const now = await this.api.post(`${path(order.id)}/retry`, body);
        this.follow();
        await this.show(order.id, { quietly: true });
        byId("one-order-status").textContent = outcomeWords(now, body);
        byId("one-order-heading").focus();
      } catch (refused) {
        this.orderError(refused.message);
      }
    });
  }

  retryAllButton(order) {
    if (!RETRIED_TOGETHER.has(order.state) || !whyOf(order) || ONE_BY_ONE.has(whyOf(order))) return "";
    const which = order.problem ? "all orders with this problem" : "all orders skipped for this reason";
    const words = order.retry_label === RETRY ? `Retry ${which}` : `${order.retry_label}: ${which}`;
    return whilePressed(element("button", { type: "button", class: "quiet" }, words), async () => {
      this.orderError("");
      try {
        const answer = await this.api.post("orders/retry", { problem: whyOf(order) });
        this.follow();
        await this.show(order.id, { quietly: true });
        byId("one-order-status").textContent = retriedWords(answer);
        byId("one-order-heading").focus();
      } catch (refused) {
        this.orderError(refused.message);
      }
    });
  }

  orderError(words) {
    replace(byId("one-order-error"), words ? element("p", { class: "notice bad" }, words) : "");
  }
}

function gatheredItem({ count, more, money, order_id: id, problem }, opened, canList, listThem) {
  const comeTo = moneyWords(money, more);
  const title = `${countWords(count, more)} ${count === 1 ? "order" : "orders"}${comeTo && `, ${comeTo}`}: ${problem.title}`;
  return element(
    "li",
    { "data-code": problem.code },
    element(
      "details",
      { "data-code": problem.code, open: opened || !canList },
      element("summary", {}, title),
      element("p", {}, count === 1 ? "" : `Order ${id}, for example: `, sentenceOf(id, problem)),
      element("p", { class: "help" }, element("b", {}, whoFixes(problem)), ": ", withLinks(problem.fix)),
    ),
    canList ? element("button", { type: "button", class: "link", onclick: () => listThem(problem) }, "List them", element("span", { class: "hidden-words" }, `: ${problem.title}`)) : "",
  );
}

const goesOn = ({ until }) => ["It goes on by itself ", moment(until), "."];

/** Why it stopped, in a few words; of other orders what became of them. */
function shortly(order) {
  if (order.problem && !order.set_aside) return order.title;
  const words = upperFirst(order.words.replace(`Order ${order.id}: `, ""));
  return withLinks(order.state === "posted" ? words.split(/(?<=\.) /)[0] : words);
}

/** A document's number, and where it stands once it is more than posted. */
function inShort({ kind, number, stands }) {
  const words = MORE_THAN_POSTED.has(stands) ? `, ${STANDS[stands].toLowerCase()}` : "";
  return `${KINDS[kind] || upperFirst(kind)} ${number}${words} · `;
}

function listed(order, box) {
  const references = [order.ref, order.external_ref].filter(Boolean).join(" · ");
  const currency = order.currency || order.documents[0]?.currency;
  return element(
    "li",
    {},
    element("div", { class: "order-box" }, box),
    element(
      "div",
      { class: "order-name" },
      element("a", { href: `#orders/${encodeURIComponent(order.id)}`, "data-id": order.id }, `Order ${order.id}`),
      references ? element("span", { class: "help" }, references) : "",
    ),
    element("div", { class: "order-date" }, order.sold_on ? [element("span", { class: "hidden-words" }, "Sold "), day(order.sold_on)] : ""),
    element("div", { class: "amount" }, amount(order.comes_to, currency)),
    element("div", { class: "order-state" }, badge(order)),
    element(
      "div",
      { class: "order-words" },
      element("p", {}, shortly(order), order.until ? [" ", ...goesOn(order)] : ""),
      order.set_aside && order.changes.length ? element("p", { class: "warn-words" }, "Sent again since it was set aside.") : "",
      element("p", { class: "help" }, order.documents.map(inShort).join(""), order.credited ? `${amount(order.credited, currency)} credited · ` : "", "changed ", moment(order.changed_at)),
    ),
  );
}
