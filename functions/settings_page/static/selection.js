// Orders that are selected in the list, and what can be done with all of them in one press.

import { agreed, byId, element, replace, same, whilePressed } from "./dom.js";
import { canRetry, retryOf } from "./problems.js";

/** As many as the server takes at once. */
const PART = 100;
const NAMED = 5;
const RETRY = "Retry";

const orders = (count) => `${count} ${count === 1 ? "order" : "orders"}`;
const are = (count) => `${orders(count)} ${count === 1 ? "is" : "are"}`;

/** What can be done with an order: the words of its button, the route, what is sent along, and what it then is. */
function actionsOf(order) {
  if (order.set_aside) return [{ label: "Take back", route: "take-back", body: {}, done: "taken back" }];
  const [label, body] = retryOf(order);
  return [
    ...(canRetry(order) ? [{ label, route: "retry", body, done: "tried again" }] : []),
    ...(order.can_set_aside ? [{ label: "Set aside", route: "set-aside", body: {}, done: "set aside" }] : []),
  ];
}

export class Selection {
  /** `say` shows words above the list, `failed` an error; `changed` is called once orders have changed. */
  constructor(api, { say, failed, changed }) {
    Object.assign(this, { api, say, failed, changed });
    this.selected = new Map();
    this.shown = [];
    this.all = byId("select-all");
    this.all.addEventListener("change", () => this.select(this.shown, this.all.checked));
    byId("select-none").addEventListener("click", () => {
      this.clear();
      this.all.focus();
    });
  }

  clear() {
    this.select([...this.selected.values()], false);
  }

  /** The orders that are shown by now. One that is selected stays so while anything can be done with it. */
  show(shown) {
    this.shown = shown.filter((order) => actionsOf(order).length);
    for (const order of shown) {
      if (!this.selected.has(order.id)) continue;
      if (actionsOf(order).length) this.selected.set(order.id, order);
      else this.selected.delete(order.id);
    }
    this.render();
  }

  /** The box that selects an order, or nothing. */
  boxOf(order) {
    if (!actionsOf(order).length) return "";
    const box = element("input", { type: "checkbox", "data-id": order.id, "aria-label": `Select order ${order.id}`, autocomplete: "off" });
    box.checked = this.selected.has(order.id);
    box.addEventListener("change", () => this.select([order], box.checked));
    return element("label", {}, box);
  }

  select(orders, on) {
    for (const order of orders) {
      if (on) this.selected.set(order.id, order);
      else this.selected.delete(order.id);
    }
    this.render();
  }

  render() {
    for (const box of byId("order-rows").querySelectorAll("input[type=checkbox]")) box.checked = this.selected.has(box.dataset.id);
    const here = this.shown.filter(({ id }) => this.selected.has(id)).length;
    byId("select-all-of-them").hidden = !this.shown.length;
    this.all.checked = here > 0 && here === this.shown.length;
    this.all.indeterminate = here > 0 && here < this.shown.length;
    const count = this.selected.size;
    byId("selection").hidden = !count;
    byId("order-list").classList.toggle("selecting", count > 0);
    const offered = new Map();
    for (const order of this.selected.values()) {
      for (const action of actionsOf(order)) {
        if (!offered.has(action.label)) offered.set(action.label, { ...action, ids: [] });
        offered.get(action.label).ids.push(order.id);
      }
    }
    const retried = offered.get(RETRY)?.ids;
    const left = retried ? [...this.selected.values()].filter(({ id }) => !retried.includes(id)) : [];
    byId("selection-words").textContent = count ? [`${orders(count)} selected`, ...notRetriedWords(left)].join(". ") : "";
    this.offer([...offered.values()]);
  }

  offer(actions) {
    if (same(actions, this.offered)) return;
    this.offered = actions;
    const count = this.selected.size;
    replace(
      byId("selection-actions"),
      actions.map((action) => {
        const words = action.ids.length === count ? action.label : `${action.label} ${action.ids.length} of ${count}`;
        return whilePressed(element("button", { type: "button", class: "quiet" }, words), () => this.press(action));
      }),
    );
  }

  async press(action) {
    if (this.pressed) return;
    this.pressed = true;
    try {
      if (action.route !== "set-aside") return await this.run(action);
      byId("set-aside-heading").textContent = `Set ${orders(action.ids.length)} aside?`;
      byId("set-aside-reason-for-all").value = "";
      if (await agreed(byId("set-aside-dialog"))) await this.run({ ...action, body: { reason: byId("set-aside-reason-for-all").value } });
    } finally {
      this.pressed = false;
    }
  }

  /** Part after part, and what came of it in words. */
  async run({ label, route, ids, body, done }) {
    const left = [];
    let [count, more, stopped] = [0, false, ""];
    this.failed("");
    for (let first = 0; first < ids.length && !stopped; first += PART) {
      const part = ids.slice(first, first + PART);
      if (ids.length > PART) this.say(`${label}: ${first} of ${orders(ids.length)} so far …`);
      try {
        const answer = await this.api.post(`orders/${route}`, { ids: part, ...body });
        left.push(...answer.left);
        count += answer.done?.length ?? answer.retried;
        more ||= Boolean(answer.more);
        for (const id of part) this.selected.delete(id);
      } catch (refused) {
        stopped = refused.message;
      }
    }
    await this.changed();
    const words = [count || !stopped ? `${are(count)} ${done}.` : "", more ? "The others follow by themselves." : "", ...leftWords(left, done)];
    this.say(words.filter(Boolean).join(" "));
    if (stopped) this.failed([words[0], stopped].filter(Boolean).join(" Then it stopped: "));
  }
}

/** Why Retry does not take an order, in a few words. */
function whyNotRetried(order) {
  if (order.set_aside) return "set aside";
  if (canRetry(order)) return `taken by “${retryOf(order)[0]}”`;
  if (order.state === "waiting") return "waiting";
  if (order.problem?.who === "platform") return "to be sent again by the platform";
  return "no longer to be posted";
}

function notRetriedWords(left) {
  if (!left.length) return [];
  const why = new Map();
  for (const order of left) why.set(whyNotRetried(order), (why.get(whyNotRetried(order)) || 0) + 1);
  return [`${left.length} can’t be retried: ${[...why].map(([words, count]) => `${count} ${words}`).join(", ")}`];
}

/** Why orders were left as they are, each reason once. */
function leftWords(left, done) {
  const why = new Map();
  for (const { id, words } of left) why.set(words, [...(why.get(words) || []), id]);
  return [...why].map(([words, ids]) => {
    const named = ids.length > NAMED ? `${ids.slice(0, NAMED).join(", ")} …` : ids.join(", ");
    return `${orders(ids.length)} (${named}) could not be ${done}: ${words}`;
  });
}
