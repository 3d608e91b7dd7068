import "@lwc/synthetic-shadow";
import { createElement } from "lwc";
import QuoteFlexQueue from "c/quoteFlexQueue";
import QuoteJobs from "c/quoteJobs";

const shown = location.hash === "#queue" ? ["c-quote-flex-queue", QuoteFlexQueue] : ["c-quote-jobs", QuoteJobs];
document.querySelector("main").appendChild(createElement(shown[0], { is: shown[1] }));
