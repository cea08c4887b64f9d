// Who did what and when: of the settings, and of an order.

import { element, moment } from "./dom.js";

export function historyItems(history = []) {
  if (!history.length) return [element("li", { class: "quiet-words" }, "Nothing yet.")];
  return history.map(({ at, by, what }) => element("li", {}, moment(at), element("span", {}, by ? `${by}: ` : "", what)));
}
