"use strict";
// A click on a column's name sorts by it, a second click the other way round.
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const table = button.closest("table");
    const place = head.cellIndex;
    const upward = head.getAttribute("aria-sort") !== "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", upward ? "ascending" : "descending");
    const body = table.tBodies[0];
    const key = (row) => row.cells[place].dataset.value ?? row.cells[place].textContent;
    const order = (one, other) =>
      head.classList.contains("number") || head.dataset.numeric !== undefined
        ? Number(one) - Number(other)
        : one.localeCompare(other, undefined, { numeric: true });
    const rows = [...body.rows].map((row) => [key(row), row]);
    rows.sort((one, other) => (upward ? 1 : -1) * order(one[0], other[0]));
    body.append(...rows.map(([, row]) => row));
  });
}
// What is typed leaves only the findings that contain it.
const wanted = document.getElementById("wanted");
if (wanted) {
  const rows = [...document.querySelectorAll("#all tbody tr")];
  const count = document.getElementById("count");
  wanted.addEventListener("input", () => {
    const words = wanted.value.toLowerCase();
    let n = 0;
    for (const row of rows) {
      row.hidden = !row.textContent.toLowerCase().includes(words);
      n += row.hidden ? 0 : 1;
    }
    count.textContent = `${n} of ${rows.length}`;
  });
}
