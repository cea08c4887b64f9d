// On the tabs Overview and Orders: that the connection to Xero is lost.

import { byId, element, replace } from "./dom.js";

/** Shows it for as long as it is true. */
export function showConnectionBanner({ status, other_app: otherApp, words, fix }) {
  const lost = ["needs_reconnect", "wrong_credentials", "cut_off"].includes(status) || otherApp;
  for (const place of ["overview-connection", "orders-connection"]) {
    replace(
      byId(place),
      lost
        ? element(
            "div",
            { class: "notice bad" },
            element("p", {}, element("b", {}, "Orders wait: the connection to Xero needs you")),
            element("p", {}, words, fix ? ` ${fix}` : ""),
            element("p", {}, element("a", { href: "#settings" }, "Go to Settings, Connection")),
          )
        : "",
    );
  }
}
