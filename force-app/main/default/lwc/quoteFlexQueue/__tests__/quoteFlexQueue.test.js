import { createElement } from "lwc";
import QuoteFlexQueue from "c/quoteFlexQueue";
import queue from "@salesforce/apex/QuoteJobController.queue";
import move from "@salesforce/apex/QuoteJobSteps.move";

jest.mock("@salesforce/apex/QuoteJobController.queue", () => ({ default: jest.fn() }), { virtual: true });
jest.mock("@salesforce/apex/QuoteJobSteps.move", () => ({ default: jest.fn() }), { virtual: true });

const settled = () => new Promise((done) => setTimeout(done, 0));
const order = (root) => [...root.querySelectorAll("li")].map((one) => one.dataset.job);

async function show(...ids) {
    queue.mockResolvedValue(ids.map((id) => ({ JobId__c: id, Name: `Job ${id}` })));
    move.mockResolvedValue(null);
    const element = createElement("c-quote-flex-queue", { is: QuoteFlexQueue });
    document.body.appendChild(element);
    await settled();
    return element.shadowRoot;
}

afterEach(() => {
    document.body.replaceChildren();
    jest.clearAllMocks();
});

test("a button moves a job, and the list shows it at once", async () => {
    const root = await show("a", "b", "c");
    root.querySelectorAll("li")[2].querySelector("lightning-button-icon").click();
    await settled();
    expect(move).toHaveBeenCalledWith({ jobId: "c", position: 1 });
    expect(order(root)).toEqual(["a", "c", "b"]);
    expect(root.textContent).toContain("Job c is at position 2 of 3.");
});

test("Alt and an arrow key do the same; without Alt, and past the ends, nothing happens", async () => {
    const root = await show("a", "b");
    const press = (key, altKey) =>
        root.querySelector("li").dispatchEvent(new KeyboardEvent("keydown", { key, altKey }));
    press("ArrowDown", false);
    press("ArrowUp", true);
    await settled();
    expect(move).not.toHaveBeenCalled();
    press("ArrowDown", true);
    await settled();
    expect(move).toHaveBeenCalledWith({ jobId: "a", position: 1 });
    expect(order(root)).toEqual(["b", "a"]);
});

test("a refusal leaves the order and is shown", async () => {
    const root = await show("a", "b");
    move.mockRejectedValue({ body: { message: "It has started" } });
    root.querySelectorAll("li")[1].querySelector("lightning-button-icon").click();
    await settled();
    expect(order(root)).toEqual(["a", "b"]);
    expect(root.querySelector("[role=alert]").textContent).toBe("It has started");
});

test("an empty queue says so", async () => {
    expect((await show()).textContent).toContain("No job waits.");
});
