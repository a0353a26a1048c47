"use strict";
(() => {
  const value = (cell) => {
    const text = cell.dataset.v ?? cell.textContent.trim();
    const number = Number(text.replaceAll(",", ""));
    return text !== "" && !Number.isNaN(number) ? number : text;
  };
  const compare = (one, other) => {
    // What is not known stands at the end, whichever way.
    const numbers = typeof one === "number" && typeof other === "number";
    return numbers ? one - other : String(one).localeCompare(String(other), "en");
  };
  const sort = (table, at, descending) => {
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [value(row.cells[at]), row]);
    const known = rows.filter(([key]) => key !== "-");
    const unknown = rows.filter(([key]) => key === "-");
    known.sort(([one], [other]) => (descending ? compare(other, one) : compare(one, other)));
    body.append(...known.concat(unknown).map(([, row]) => row));
    [...table.tHead.rows[0].cells].forEach((cell, index) => {
      if (index === at) cell.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    });
  };
  for (const table of document.querySelectorAll("table.sorts")) {
    [...table.tHead.rows[0].cells].forEach((cell, at) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...cell.childNodes);
      button.addEventListener("click", () => {
        const now = cell.getAttribute("aria-sort");
        sort(table, at, now ? now === "ascending" : cell.classList.contains("n"));
      });
      cell.append(button);
    });
  }
  for (const block of document.querySelectorAll("pre.copies")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      const code = block.querySelector("code");
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code);
        button.textContent = "Selected: press Ctrl-C";
      }
    });
    block.before(button);
  }
  // #sort=processes.2 and #sort=processes.-2: a table as somebody wants to show it.
  const sortByFragment = () => {
    const asked = /^#sort=([a-z-]+)\.(-?)(\d+)$/.exec(location.hash);
    const table = asked && document.getElementById(asked[1]);
    if (table?.tHead?.rows[0].cells[asked[3]]) {
      sort(table, Number(asked[3]), asked[2] === "-");
      table.scrollIntoView();
    }
  };
  addEventListener("hashchange", sortByFragment);
  sortByFragment();
})();
