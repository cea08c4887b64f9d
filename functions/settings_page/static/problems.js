// What a person can do about an order that stopped beside trying it again; and when Xero is read again by itself.

import { byId, element, moment, replace, upperFirst, whilePressed } from "./dom.js";
import { withLinks } from "./form.js";

const SAY_OPEN_EVERY = 60_000;
const READ_WITHIN = 4_000;
const LONGEST_REASON = 500;

/** Says when Xero is read again for stopped orders, and has it read now. Asking tells the server that the tab is open. */
export class ReadAgain {
  constructor(api, onRead) {
    this.api = api;
    this.onRead = onRead;
    this.askedAt = 0;
    this.waiting = false;
    this.wanted = true;
    whilePressed(byId("read-again-now"), () => this.now());
  }

  /** `stopped`: whether any order needs attention; `byItself`: whether one is in sight that waits for something in Xero; `wanted`: whether it concerns what is shown. */
  async look(stopped, byItself, wanted) {
    this.wanted = wanted;
    if (!stopped) this.waiting = false;
    this.showOrHide();
    if (!stopped || Date.now() - this.askedAt < SAY_OPEN_EVERY) return;
    // it takes its place at once, so that nothing moves when the answer comes
    if (byItself && !this.askedAt) this.show({ waiting: true });
    this.askedAt = Date.now();
    await this.ask("get");
  }

  async now() {
    await this.ask("post");
    await new Promise((resume) => setTimeout(resume, READ_WITHIN));
    await this.ask("get");
    await this.onRead();
  }

  async ask(method) {
    try {
      this.show(await this.api[method]("xero/read-again"));
    } catch {
      // without a connection nothing is read; another time it is said again
      this.waiting = false;
      this.showOrHide();
    }
  }

  showOrHide() {
    byId("read-again").hidden = !this.waiting || !this.wanted;
  }

  show({ waiting, read_at: readAt, next_at: nextAt, spent }) {
    this.waiting = waiting;
    this.showOrHide();
    if (!waiting) return;
    const read = readAt ? ["Xero was last read ", moment(readAt)] : ["Xero is read for them soon"];
    const next = nextAt ? [", and is read again by itself ", moment(nextAt)] : "";
    const words = spent
      ? [...read, ". The calls that may be made for this today are used up. It is read again ", moment(nextAt), "; Retry tries an order at once."]
      : [...read, next, "."];
    replace(byId("read-again-words"), "Some orders are posted by themselves once something is put right in Xero. ", ...words.flat());
    byId("read-again-now").hidden = Boolean(spent);
  }
}

const WHO = {
  office: "Somebody in your office",
  accountant: "Your accountant",
  platform: "The platform’s team",
  operator: "Whoever runs this integration",
};

/** Who can fix a problem. */
export const whoFixes = ({ who }) => WHO[who] || who;

/** The problem's sentence without the order's number, which is shown beside it. */
export const sentenceOf = (id, { sentence }) => withLinks(upperFirst(sentence.replace(`Order ${id}: `, "")));

/** What the message calls the fields, for those who send it. */
function fieldsOf({ fields }) {
  if (!fields?.length) return "";
  const names = fields.flatMap((name, place) => [place ? ", " : "", element("code", {}, name)]);
  return element("div", {}, element("dt", {}, fields.length > 1 ? "Fields of the message" : "Field of the message"), element("dd", {}, names));
}

/** A problem of an order: what it is, who can fix it and how, and Xero's own words. `buttons` stand below. */
export function problemOf(id, problem, ...buttons) {
  return element(
    "section",
    { class: "problem", "aria-label": "Problem" },
    element("p", { class: "sentence" }, sentenceOf(id, problem)),
    element(
      "dl",
      { class: "words" },
      element("div", {}, element("dt", {}, "Who can fix it"), element("dd", {}, whoFixes(problem))),
      element("div", {}, element("dt", {}, "What to do"), element("dd", {}, withLinks(problem.fix))),
      fieldsOf(problem),
    ),
    problem.xero_says?.length
      ? element("details", { open: / below\b/.test(`${problem.sentence} ${problem.fix}`) }, element("summary", {}, "What Xero said"), element("ul", { class: "quotes" }, problem.xero_says.map((said) => element("li", {}, element("q", { lang: "en" }, said)))))
      : "",
    buttons,
  );
}

/** That an order is posted by itself, and the name that its contact bears by now, for one press. `did` is told what was done. */
export function helpWith(order, api, did, failed) {
  const { by_itself: byItself, now_called: called } = order.problem || {};
  const found = [];
  if (called) {
    const use = element("button", { type: "button", class: "main" }, `Now called “${called.name}”: use it`);
    found.push(element("p", { class: "actions" }, whilePressed(use, () => useName(order, called, api, did, failed))));
  }
  if (byItself) found.push(element("p", { class: "help" }, "A setting counts as soon as it is saved. A change in Xero counts within minutes in the first hour, later within an hour."));
  return found;
}

async function useName(order, { setting, name }, api, did, failed) {
  try {
    const { version } = await api.get("settings");
    await api.put("settings", { version, settings: { [setting]: name } });
    // its document is in Xero for that very contact
    if (order.documents.length) await api.post(`orders/${encodeURIComponent(order.id)}/retry`, {});
    await did(`“${name}” is used from now on. What becomes of the order shows here in a moment.`);
  } catch (refused) {
    failed(refused.message);
  }
}

/** Why an order stops or is skipped that is refunded, returned or rejected: a person says Post or Skip instead of Retry. */
const NO_SALE = new Set(["no_sale", "refunded", "returned", "rejected", "partially_refunded", "partially_returned", "unclear"]);

export const whyOf = (order) => order.problem?.code || order.reason || "";

/** An order that has to be sent again stays what it is, however often it is tried. */
export const canRetry = ({ can_retry: can, problem }) => can && problem?.who !== "platform";

/** Whether a press is what helps: not where an order is posted by itself. */
export const toBePressed = ({ problem, retry_label: label }) => !problem || problem.fix.includes(label);

/** The words of the button that has an order tried again, and what is sent with it. */
export function retryOf(order) {
  // what is cancelled can be posted only where its purchase order is in Xero
  const asked = NO_SALE.has(whyOf(order)) || (whyOf(order) === "cancelled" && order.documents.length > 0);
  return asked ? ["Post", { no_sale: "post" }] : [order.retry_label, {}];
}

/** A reason to type in, and the button that sets the order aside. */
export function setAside(order, api, did, failed) {
  if (!order.can_set_aside) return "";
  const reason = element("input", { id: "set-aside-reason", name: "reason", required: true, pattern: ".*\\S.*", maxlength: LONGEST_REASON, autocomplete: "off" });
  const form = element(
    "form",
    {},
    element("label", { for: "set-aside-reason" }, "Reason, such as the number under which it was booked by hand"),
    reason,
    element("p", { class: "actions" }, element("button", { type: "submit", class: "quiet" }, "Set aside")),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    await change("set-aside", order, { reason: reason.value }, api, failed, () => did("Set aside. Nothing posts it until somebody takes it back."));
  });
  return element("details", { class: "set-aside" }, element("summary", {}, "It was booked by hand, or is not to be posted: set it aside"), form);
}

/** Why the order was set aside, and the way back. */
export function wasSetAside(order, api, did, failed) {
  const { set_aside: aside } = order;
  if (!aside) return "";
  const back = element("button", { type: "button", class: "quiet" }, "Take it back");
  return element(
    "section",
    { class: "notice", "aria-label": "Set aside" },
    element("p", {}, element("b", {}, aside.by), " set it aside ", moment(aside.at), ": ", aside.because),
    order.changes.length ? [element("h3", {}, "Sent again since it was set aside"), element("ul", {}, order.changes.map((change) => element("li", {}, change)))] : "",
    order.problem ? element("p", { class: "help" }, "Before that it had stopped. ", sentenceOf(order.id, order.problem)) : "",
    element("p", { class: "help" }, "No message, no setting and no Retry posts it. Taken back, it is tried again."),
    element("p", { class: "actions" }, whilePressed(back, () => change("take-back", order, {}, api, failed, () => did("Taken back. What becomes of it shows here in a moment.")))),
  );
}

async function change(what, { id }, more, api, failed, did) {
  try {
    const { left } = await api.post(`orders/${what}`, { ids: [id], ...more });
    if (left.length) failed(left[0].words);
    else await did();
  } catch (refused) {
    failed(refused.message);
  }
}
