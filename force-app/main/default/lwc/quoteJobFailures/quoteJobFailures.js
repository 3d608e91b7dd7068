import { LightningElement, api } from "lwc";
import failures from "@salesforce/apex/QuoteJobController.failures";

export default class QuoteJobFailures extends LightningElement {
    @api jobId;
    reasons;
    problem;

    async load() {
        try {
            const found = await failures({ jobId: this.jobId });
            this.problem = undefined;
            this.reasons = found.map((reason, key) => ({
                key,
                count: reason.count,
                text: [reason.code, reason.message].filter(Boolean).join(": "),
                advice: reason.advice
            }));
        } catch (error) {
            this.problem = error?.body?.message || error?.message || "The org does not answer. Try again.";
        }
    }
}
