// A document as it is made, and why: each line with its field, rule and setting.

import { amount, day, element } from "./dom.js";
import { settingLink } from "./form.js";

const ABOUT = {
  date: "Date",
  due_date: "Due date",
  number: "Number",
  contact: "Contact",
  status: "Status",
  currency: "Currency",
  amounts: "Prices",
};

/** The words of a reason. What a setting is called in them leads to it. */
function reasonWords({ words, setting, field }) {
  const quoted = setting ? `“${setting.title}”` : "";
  const at = quoted ? words.indexOf(quoted) : -1;
  const said = at < 0 ? [words] : [words.slice(0, at + 1), settingLink(setting.name, setting.title), words.slice(at + quoted.length - 1)];
  return [...said, field ? element("span", { class: "help" }, " Field ", element("code", {}, field)) : ""];
}

function linesOf({ lines, currency }) {
  return element(
    "ol",
    { class: "made" },
    lines.map((line) =>
      element(
        "li",
        {},
        element("p", { class: "line" }, element("b", {}, line.description), element("span", { class: "amount" }, `${line.quantity} × ${amount(line.price, currency)}`)),
        element("ul", { class: "why" }, line.why.map((reason) => element("li", {}, reasonWords(reason)))),
      ),
    ),
  );
}

function totalsOf({ net, taxes, total, currency }) {
  const figures = [["Net", net], ...taxes.map(({ name, tax }) => [name, tax]), ["Total", total]];
  return element("dl", { class: "totals" }, figures.map(([name, figure]) => element("div", {}, element("dt", {}, name), element("dd", { class: "amount" }, amount(figure, currency)))));
}

function whyOf(made) {
  const values = { date: day(made.date), due_date: day(made.due_date), number: made.number };
  const about = [...new Set(made.why.map((reason) => reason.about))];
  const said = (name) => made.why.filter((reason) => reason.about === name).map((reason) => element("dd", {}, reasonWords(reason)));
  return element(
    "dl",
    { class: "words" },
    about.map((name) => element("div", {}, element("dt", {}, [ABOUT[name], values[name]].filter(Boolean).join(": ")), said(name))),
  );
}

/** A document's lines and figures, each with its reason. */
export function explained(made) {
  return [linesOf(made), totalsOf(made), element("h4", {}, "Why this date, number and contact"), whyOf(made)];
}
