import { createElement } from "lwc";
import QuoteJobFailures from "c/quoteJobFailures";
import failures from "@salesforce/apex/QuoteJobController.failures";

jest.mock("@salesforce/apex/QuoteJobController.failures", () => ({ default: jest.fn() }), { virtual: true });

const settled = () => new Promise((done) => setTimeout(done, 0));

async function ask() {
    const element = createElement("c-quote-job-failures", { is: QuoteJobFailures });
    element.jobId = "a";
    document.body.appendChild(element);
    element.shadowRoot.querySelector("lightning-button").click();
    await settled();
    return element.shadowRoot;
}

afterEach(() => document.body.replaceChildren());

test("reasons come with their counts and what to do", async () => {
    failures.mockResolvedValue([{ code: "UNABLE_TO_LOCK_ROW", message: "locked", advice: "Retry", count: 3 }]);
    const root = await ask();
    expect(failures).toHaveBeenCalledWith({ jobId: "a" });
    const cells = [...root.querySelectorAll("td")].map((cell) => cell.textContent);
    expect(cells).toEqual(["3", "UNABLE_TO_LOCK_ROW: locked", "Retry"]);
});

test("a refusal is shown, and one can ask again", async () => {
    failures.mockRejectedValue({ body: { message: "No such job" } });
    const root = await ask();
    expect(root.querySelector("[role=alert]").textContent).toBe("No such job");
    expect(root.querySelector("lightning-button")).not.toBeNull();
});
