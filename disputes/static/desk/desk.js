// A question that was chosen stands in its field, to be changed there. Without script the server fills it in.
document.addEventListener("change", function (event) {
  const choice = event.target.closest("select[data-fills]");
  if (!choice) return;
  const text = document.getElementById(choice.dataset.fills);
  const texts = JSON.parse(document.getElementById("desk-questions").textContent);
  if (text && choice.value in texts) text.value = texts[choice.value];
});
// One click, one act: the server keeps to that too.
document.addEventListener("submit", function (event) {
  if (!event.target.closest(".desk")) return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "yes";
});
