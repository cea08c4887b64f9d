// One order: what it says, what became of it in Xero and why, and what happened to it.

import { amount, day, element, moment, upperFirst, webAddress } from "./dom.js";
import { changedBadge, standing } from "./corrections.js";
import { explained } from "./explained.js";
import { historyItems } from "./history.js";

export const STATES = {
  queued: ["On its way", "plain"],
  posting: ["Being posted", "plain"],
  posted: ["Posted", "good"],
  waiting: ["Waiting", "warn"],
  needs_attention: ["Needs attention", "bad"],
  skipped: ["Skipped", "plain"],
  set_aside: ["Set aside", "plain"],
};
export const KINDS = { invoice: "Sales invoice", purchase_order: "Purchase order" };

export function badge(order) {
  const [words, look] = changedBadge(order) || STATES[order.state] || ["Unknown", "plain"];
  return element("span", { class: `badge ${look}` }, words);
}

/** The way to a preview of an order that is not in Xero yet. */
export function toPreview({ id, documents, lines = [] }) {
  if (documents.length || !lines.length) return "";
  return element("p", {}, element("a", { href: `#preview/${encodeURIComponent(id)}` }, "Preview it under the settings on screen"));
}

/** `standing`: what is shown below its documents of where they stand. */
export function factsOfOrder(order, standing) {
  return [
    sameShippingOf(order),
    documentsOf(order),
    standing,
    factsOf(order),
    linesOf(order),
    totalsOf(order),
    element("h3", {}, "History"),
    element("ul", { class: "history" }, historyItems(order.history)),
  ];
}

function sameShippingOf({ same_shipping: others = [] }) {
  if (!others.length) return "";
  const links = others.flatMap((id, place) => [place ? ", " : "", element("a", { href: `#orders/${encodeURIComponent(id)}` }, `order ${id}`)]);
  return element(
    "p",
    { class: "notice warn" },
    "The same shipping is also on ",
    ...links,
    ", with the same reference of the sales channel. Where the platform splits an order, it sends the shipping with each part: look whether the customer paid it more than once.",
  );
}

function documentsOf({ documents, explained: reasons = [] }) {
  if (!documents.length) return "";
  return [
    element("h3", {}, "In Xero"),
    element(
      "ul",
      { class: "documents" },
      documents.map((one) => {
        const address = one.link && webAddress(one.link);
        return element(
          "li",
          {},
          element("div", {}, element("b", {}, `${KINDS[one.kind] || upperFirst(one.kind)} ${one.number}`), element("span", { class: "help" }, standing(one))),
          element("div", { class: "amount" }, amount(one.total, one.currency)),
          address
            ? element("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, "Open in Xero", element("span", { class: "hidden-words" }, `: ${one.number}, opens in a new tab`))
            : "",
          one.notes?.length ? element("ul", { class: "notes" }, one.notes.map((note) => element("li", {}, note))) : "",
          reasons.filter(({ kind }) => kind === one.kind).map(whyOf),
        );
      }),
    ),
  ];
}

/** A document's lines, each with its reason, to be opened. */
function whyOf(made) {
  const known = [`Told from the order as it was sent, version ${made.settings_version} of the settings, and Xero’s accounts and tax rates as known `, moment(made.facts_read_at), "."];
  return element(
    "details",
    { class: "made-of" },
    element("summary", {}, "Its lines, and why they are so", element("span", { class: "hidden-words" }, `: ${KINDS[made.kind] || made.kind}`)),
    made.remark ? element("p", { class: "warn-words" }, made.remark) : "",
    made.lines.length ? explained(made) : "",
    element("p", { class: "help" }, known),
  );
}

function factsOf(order) {
  const facts = [
    ["Date of sale", order.sold_on && day(order.sold_on)],
    ["Received", moment(order.received_at)],
    ["Last changed", moment(order.changed_at)],
    ["Document number", order.number],
    ["Reference", order.ref],
    ["Sales channel’s reference", order.external_ref],
    ["Currency", order.currency],
  ].filter(([, value]) => value);
  return [element("h3", {}, "Order"), element("dl", { class: "facts" }, facts.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))))];
}

/** What the order comes to by its own prices and rates. */
function totalsOf({ totals, currency }) {
  if (!totals) return "";
  const taxes = totals.taxes.map(({ rate, tax }) => [rate === null ? "Tax, at no stated rate" : `Tax at ${rate} %`, tax]);
  const figures = [["Net", totals.net], ...taxes, ["Total", totals.total]];
  return element(
    "dl",
    { class: "totals" },
    figures.map(([name, figure]) => element("div", {}, element("dt", {}, name), element("dd", { class: "amount" }, amount(figure, currency)))),
  );
}

/** The order's shipping as a line of it. */
function shippingOf({ shipping }) {
  const charged = shipping && [shipping.price, shipping.price_inc_tax].some((price) => Number(price));
  return charged ? [{ description: "Shipping", sku: "", quantity: "1", cost: null, cancelled: false, ...shipping }] : [];
}

function linesOf(order) {
  const { currency } = order;
  const lines = [...(order.lines || []), ...shippingOf(order)];
  if (!lines.length) return "";
  const numbers = [
    ["Quantity", (line) => line.quantity],
    ["Price", (line) => amount(line.price, currency)],
    ["Price with tax", (line) => amount(line.price_inc_tax, currency)],
    ["Unit cost", (line) => amount(line.cost, currency)],
    ["Tax", (line) => (line.tax_rate || line.tax_rate === 0 ? `${line.tax_rate} %` : "–")],
  ];
  const row = (line) =>
    element(
      "tr",
      { class: line.cancelled ? "cancelled" : null },
      element("th", { scope: "row" }, line.description || line.sku || "–", element("span", { class: "help" }, line.sku || ""), line.cancelled ? element("span", { class: "badge plain" }, "Cancelled") : ""),
      numbers.map(([name, value]) => element("td", { class: "amount", "data-label": name }, value(line))),
    );
  return [
    element("h3", { id: "lines-heading" }, "Lines"),
    element(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-labelledby": "lines-heading" },
      element(
        "table",
        { class: "lines" },
        element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Item"), numbers.map(([name]) => element("th", { scope: "col", class: "amount" }, name)))),
        element("tbody", {}, lines.map(row)),
      ),
    ),
  ];
}
