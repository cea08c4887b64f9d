// An order after it was posted: what changed, where its documents stand in Xero, and what a person decides about them.

import { amount, byId, element, moment, replace, same, webAddress, whilePressed } from "./dom.js";
import { problemOf } from "./problems.js";

export const STANDS = {
  draft: "Draft",
  awaiting_approval: "Awaiting approval",
  approved: "Approved",
  part_paid: "Approved, paid in part",
  part_credited: "Approved, credited in part",
  paid: "Paid",
  credited: "Credited in full",
  billed: "Billed",
  voided: "Voided",
  deleted: "Deleted",
};
const NOTE_STANDS = { DRAFT: "Draft, waits for your approval", SUBMITTED: "Awaiting approval", AUTHORISED: "Approved, not used up", PAID: "Used up", VOIDED: "Voided", DELETED: "Deleted" };
const ASKED = "Asked for. What becomes of it shows here by itself.";
const DONE = "Noted. It is off the list of orders changed after posting.";
const WHO_MAY =
  "Only somebody with the permission to credit may decide this, and you don’t have it. Whoever gives rights on the platform can give it to you.";
const GOODS_ARE_BACK = "Goods are back in stock";

/** Whether it changes by itself in a moment. */
export const beingCorrected = (order) => order.reason === "correcting";

/** What stands in the badge of a posted order that changed afterwards. */
export const changedBadge = ({ state, reason }) => (state === "posted" && reason ? ["Changed", "warn"] : null);

/** Where a document stands in Xero, and as of when. */
export function standing({ stands, status, read_at: readAt }) {
  const words = STANDS[stands] || status;
  return readAt ? [`${words}, read `, moment(readAt)] : words;
}

export class AfterPosting {
  /** `page` shows orders. */
  constructor(api, page) {
    this.api = api;
    this.page = page;
    this.dialog = byId("credit-dialog");
    whilePressed(byId("credit-yes"), () => this.credit());
  }

  path(order, task) {
    return `orders/${encodeURIComponent(order.id)}/${task}`;
  }

  /** What changed, what stopped, and what a person can ask for. */
  decisions(order) {
    return [changesOf(order), order.correction?.problem ? problemOf(order.id, order.correction.problem) : "", this.choices(order)];
  }

  choices(order) {
    const { choices = [], reason } = order;
    if (!choices.length) return "";
    const heading = "What becomes of it in Xero";
    const offers = order.may_credit
      ? element("ul", { class: "offers" }, choices.map((one, place) => this.offer(order, one, reason && !place ? "main" : "quiet")))
      : element("p", { class: "notice" }, WHO_MAY);
    return reason
      ? element("section", { "aria-label": heading }, element("h3", {}, heading), offers)
      : element("details", { class: "offered" }, element("summary", {}, "Take it out of the books, or credit it"), offers);
  }

  offer(order, { asked, label, words }, look) {
    const back = asked === "cancel" && order.may_return_stock ? tick("cancel-goods-are-back") : "";
    const button = element("button", { type: "button", class: look }, label);
    if (asked === "credit") button.addEventListener("click", () => this.openCredit(order, words));
    else whilePressed(button, () => this.press(order, asked, back ? { goods_are_back: back.querySelector("input").checked } : {}));
    return element("li", {}, button, element("div", {}, element("p", {}, words), back));
  }

  async press(order, asked, more = {}, complain = (words) => this.page.orderError(words)) {
    this.page.orderError("");
    try {
      const now = await this.api.post(this.path(order, "correction"), { asked, version: order.version, ...more });
      this.dialog.close();
      this.page.tell(now, asked === "done_by_hand" ? DONE : ASKED);
    } catch (refused) {
      if (refused.code !== "order_changed") return complain(refused.message);
      // pressed twice, or somebody else was faster: what counts is how it stands now
      this.dialog.close();
      await this.page.show(order.id, { quietly: true });
    }
  }

  // --- credit some of it

  openCredit(order, words) {
    this.order = order;
    byId("credit-words").textContent = words;
    replace(byId("credit-error"));
    replace(byId("credit-lines"), order.creditable.map(creditLine), order.may_return_stock ? tick("credit-goods-are-back") : "");
    this.dialog.showModal();
  }

  credit() {
    const given = (part, line) => byId(`credit-${part}-${line}`)?.value.trim() || "";
    const lines = this.order.creditable
      .map(({ line }) => ({ line, pieces: given("pieces", line), amount: given("amount", line) }))
      .filter(({ pieces, amount }) => pieces || amount);
    const complain = (words) => replace(byId("credit-error"), element("p", { class: "notice bad" }, words));
    return this.press(this.order, "credit", { lines, goods_are_back: Boolean(byId("credit-goods-are-back")?.checked) }, complain);
  }

  // --- where it stands

  /** The order's credit notes, and a button that reads where everything stands. */
  standing(order) {
    const { documents, credit_notes: notes = [], lines = [] } = order;
    if (!documents.length) return "";
    const look = whilePressed(element("button", { type: "button", class: "quiet" }, "Look now"), async () => {
      this.page.orderError("");
      try {
        const now = await this.api.post(this.path(order, "look"));
        this.page.tell(now, same(now.documents, documents) ? "It stands as before." : "Read from Xero.");
      } catch (refused) {
        this.page.orderError(refused.message);
      }
    });
    return [
      notes.length ? element("ul", { class: "documents", "aria-label": "Credit notes" }, notes.map((note) => noteOf(note, lines))) : "",
      element("p", { class: "actions" }, look, element("span", { class: "help" }, "Reads from Xero where it stands now.")),
    ];
  }
}

function changesOf({ changes, reason }) {
  if (!changes.length) return "";
  return element(
    "section",
    { class: reason ? "notice warn" : "notice", "aria-label": "Changes after posting" },
    element("h3", {}, "Changed on the platform after it was posted"),
    reason ? "" : element("p", {}, "This has been dealt with."),
    element("ul", {}, changes.map((change) => element("li", {}, change))),
  );
}

function noteOf(note, lines) {
  const address = note.link && webAddress(note.link);
  const named = (line) => (line ? lines[line - 1]?.description || lines[line - 1]?.sku || `Line ${line}` : "Shipping");
  const of = note.credited.map(({ line, pieces, amount: money }) => `${pieces ? `${pieces} × ` : ""}${named(line)}: ${amount(money, note.currency)}`);
  return element(
    "li",
    {},
    element("div", {}, element("b", {}, `Credit note ${note.number}`), element("span", { class: "help" }, NOTE_STANDS[note.status] || note.status)),
    element("div", { class: "amount" }, amount(note.total, note.currency)),
    address ? element("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, "Open in Xero", element("span", { class: "hidden-words" }, `: ${note.number}, opens in a new tab`)) : "",
    of.length ? element("ul", { class: "notes" }, of.map((words) => element("li", {}, words))) : "",
  );
}

function tick(id) {
  return element("label", { class: "tick" }, element("input", { type: "checkbox", id }), ` ${GOODS_ARE_BACK}`);
}

/** A line of the order: how many pieces, or how much money. */
function creditLine({ line, description, quantity, left, credited }) {
  const said = [line ? `${quantity} invoiced` : "", left && left !== quantity ? `${left} left` : "", credited ? `${credited} credited so far` : ""].filter(Boolean).join(", ");
  const field = (part, words) => {
    const id = `credit-${part}-${line}`;
    return element("div", {}, element("label", { for: id }, words, element("span", { class: "hidden-words" }, ` of ${description}`)), element("input", { id, inputmode: "decimal", autocomplete: "off" }));
  };
  return element(
    "fieldset",
    { class: "credit-line" },
    element("legend", {}, description),
    said ? element("p", { class: "help" }, said) : "",
    left === "0" ? "" : element("div", { class: "pair" }, left ? field("pieces", "Quantity") : "", field("amount", left ? "or amount" : "Amount")),
  );
}
