// The orders of a filter as a CSV file, which the browser puts together from several answers.

import { STANDS } from "./corrections.js";
import { STATES } from "./order_page.js";

const ROWS = 250;
const BYTE_ORDER_MARK = "\ufeff";
/** What a spreadsheet takes as the beginning of a formula, also in the full width of East Asian writing. */
const FORMULA = /^[=+\-@\t\r\n＝＋－＠]/;
const NUMBER = /^-?\d+(\.\d+)?$/;

const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
const text = (value) => quoted(FORMULA.test(value || "") ? `'${value}` : value || "");
/** An amount stays a number. */
const figure = (value) => (NUMBER.test(value || "") ? value : text(value));
const utc = (iso) => (iso ? new Date(iso).toISOString().slice(0, 16).replace("T", " ") : "");
const documentOf = (kind, field) => (order) => order.documents.find((one) => one.kind === kind)?.[field];

const COLUMNS = [
  ["Order", text, (order) => order.id],
  ["Reference", text, (order) => order.ref],
  ["Sales channel reference", text, (order) => order.external_ref],
  ["Date of sale", text, (order) => order.sold_on],
  ["Received (UTC)", text, (order) => utc(order.received_at)],
  ["Changed (UTC)", text, (order) => utc(order.changed_at)],
  ["State", text, (order) => STATES[order.state]?.[0]],
  ["Reason", text, (order) => order.title],
  ["What happened", text, (order) => order.words],
  ["What to do", text, (order) => (order.problem || order.correction?.problem)?.fix],
  ["Total", figure, (order) => order.total],
  ["Credited", figure, (order) => order.credited],
  ["Comes to now", figure, (order) => order.comes_to],
  ["Currency", text, (order) => order.currency || order.documents[0]?.currency],
  ...["invoice", "purchase_order"].flatMap((kind) => {
    const name = kind === "invoice" ? "Sales invoice" : "Purchase order";
    return [
      [name, text, documentOf(kind, "number")],
      [`${name} total`, figure, documentOf(kind, "total")],
      [`${name} currency`, text, documentOf(kind, "currency")],
      [`${name} status`, text, (order) => STANDS[documentOf(kind, "stands")(order)] || documentOf(kind, "status")(order)],
    ];
  }),
];

const line = (cells) => `${cells.join(",")}\r\n`;

/** Every order that is asked for, as the parts of a file. `told` is told how many there are so far. */
export async function csvOf(api, asked, told) {
  const parts = [BYTE_ORDER_MARK, line(COLUMNS.map(([name]) => name))];
  const seen = new Set();
  const take = (orders) => {
    for (const order of orders) {
      // one that changed meanwhile may come a second time
      if (seen.has(order.id)) continue;
      seen.add(order.id);
      parts.push(line(COLUMNS.map(([, cell, value]) => cell(value(order)))));
    }
    told(seen.size);
  };
  const read = (cursor) => api.get("orders", { ...asked, rows: ROWS, cursor });
  let page = await read("");
  const since = page.cursor && asked.sort !== "oldest" ? page.orders[0]?.changed_at : "";
  take(page.orders);
  while (page.cursor) take((page = await read(page.cursor)).orders);
  // what changed before its page was read went to the beginning, where all is later than what stood first
  if (since) {
    do take((page = await read(page.cursor || "")).orders);
    while (page.cursor && page.orders.every((order) => order.changed_at > since));
  }
  return parts;
}

/** Has the browser keep a file. */
export function keepFile(parts, name) {
  const address = URL.createObjectURL(new Blob(parts, { type: "text/csv;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  // not at once: the browser may still be reading it
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
