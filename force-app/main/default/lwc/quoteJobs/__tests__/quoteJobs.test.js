import { createElement } from "lwc";
import QuoteJobs, { shown } from "c/quoteJobs";
import jobs from "@salesforce/apex/QuoteJobController.jobs";
import change from "@salesforce/apex/QuoteJobSteps.change";

jest.mock("@salesforce/apex/QuoteJobController.jobs", () => ({ default: jest.fn() }), { virtual: true });
jest.mock("@salesforce/apex/QuoteJobSteps.change", () => ({ default: jest.fn() }), { virtual: true });
jest.mock("@salesforce/apex/QuoteJobController.failures", () => ({ default: jest.fn(async () => []) }), {
    virtual: true
});

const RUNNING = {
    JobId__c: "a",
    Name: "Weekly",
    Status__c: "Processing",
    TotalJobItems__c: 4,
    JobItemsProcessed__c: 1
};
const FAILED = { JobId__c: "b", Name: "Old", Status__c: "Failed", RecordsFailed__c: 2, ExtendedStatus__c: "ROW_LOCK" };
const settled = () => new Promise((done) => setTimeout(done, 0));

async function show(found) {
    jobs.mockImplementation(found);
    const element = createElement("c-quote-jobs", { is: QuoteJobs });
    document.body.appendChild(element);
    await settled();
    return element.shadowRoot;
}

afterEach(() => {
    document.body.replaceChildren();
    jest.clearAllMocks();
});

test("each job has its bar and the steps that its status allows", async () => {
    const root = await show(async () => [RUNNING, FAILED]);
    expect([...root.querySelectorAll("lightning-progress-bar")].map((bar) => bar.value)).toEqual([25, 0]);
    const steps = [...root.querySelectorAll("lightning-button[data-step]")].map((one) => one.dataset.step);
    expect(steps).toEqual(["abort", "resume", "retry"]);
    expect(root.textContent).toContain("ROW_LOCK");
});

test("a step goes to the org with the id of its job, and the list is read again", async () => {
    const root = await show(async () => [RUNNING]);
    change.mockResolvedValue(null);
    root.querySelector("[data-step=abort]").click();
    await settled();
    expect(change).toHaveBeenCalledWith({ jobId: "a", step: "abort" });
    expect(jobs).toHaveBeenCalledTimes(2);
});

test("a refusal is shown", async () => {
    const root = await show(async () => [RUNNING]);
    change.mockRejectedValue({ body: { message: "The job has ended" } });
    root.querySelector("[data-step=abort]").click();
    await settled();
    expect(root.querySelector("[role=alert]").textContent).toBe("The job has ended");
});

test("without jobs it says so; an org that does not answer is no empty list", async () => {
    expect((await show(async () => [])).textContent).toContain("There are no jobs yet.");
    const root = await show(async () => Promise.reject(new Error("no")));
    expect(root.textContent).not.toContain("There are no jobs yet.");
});

test("a completed job is at 100, one without a plan at 0", () => {
    expect(shown({ Status__c: "Completed" }).percent).toBe(100);
    expect(shown({ Status__c: "Queued" }).percent).toBe(0);
});
