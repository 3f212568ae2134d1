// Start the cards and quizzes of a page once MathJax is ready to typeset them. The data stand in the containers'
// own attributes; jupytercards (createCards, checkFlip) and jupyterquiz (show_questions) do the rest.
(function () {
  "use strict";
  const patience = 200; // tries, 50 ms apart, before cards and quizzes start without typeset formulas

  function startCards(deck) {
    createCards(deck.id);
    const next = document.getElementById(deck.id + "-next");
    next.addEventListener("click", () => window.checkFlip(deck.id));
    next.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        window.checkFlip(deck.id);
      }
    });
    // jupytercards swallows every key; only the ones that it uses are its own, so that Tab leaves the deck.
    const handler = deck.onkeydown;
    deck.onkeydown = (event) => {
      if ([" ", "Enter", "ArrowRight", "j"].includes(event.key)) handler(event);
    };
  }

  function startQuiz(quiz) {
    show_questions(JSON.parse(quiz.dataset.questions), quiz);
    quiz.querySelectorAll(".Feedback").forEach((box) => box.setAttribute("aria-live", "polite"));
  }

  function start() {
    document.querySelectorAll(".study-cards > .flip-container").forEach(startCards);
    document.querySelectorAll(".study-quiz > div").forEach(startQuiz);
  }

  function whenTypesetting(tries) {
    const startup = window.MathJax && window.MathJax.startup;
    if (startup && startup.promise) startup.promise.then(start);
    else if (tries > 0) setTimeout(whenTypesetting, 50, tries - 1);
    else start();
  }

  document.addEventListener("DOMContentLoaded", () => whenTypesetting(patience));
})();
