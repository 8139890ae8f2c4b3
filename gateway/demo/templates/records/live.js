// Says when a record of this study was created or approved elsewhere; the page itself never changes under the reader.
const line = document.querySelector("[data-study]");
if (line) {
  const events = new EventSource("/events");
  events.addEventListener("change", (event) => {
    const change = JSON.parse(event.data);
    if (change.study !== line.dataset.study) return;
    line.textContent = `${change.by} ${change.what} ${change.record}. `;
    const link = document.createElement("a");
    link.href = location.pathname;
    link.textContent = "Show it";
    line.append(link);
  });
}
