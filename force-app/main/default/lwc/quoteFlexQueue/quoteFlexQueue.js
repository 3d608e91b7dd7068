import { LightningElement } from "lwc";
import queue from "@salesforce/apex/QuoteJobController.queue";
import move from "@salesforce/apex/QuoteJobSteps.move";

const STEP = { ArrowUp: -1, ArrowDown: 1 };

export default class QuoteFlexQueue extends LightningElement {
    rows = [];
    said = "";
    problem;

    connectedCallback() {
        return this.load();
    }

    async load() {
        try {
            const found = await queue();
            this.rows = found.map((job, position) => {
                const name = job.Name || job.JobId__c;
                return {
                    jobId: job.JobId__c,
                    name,
                    position,
                    before: position - 1,
                    after: position + 1,
                    first: position === 0,
                    last: position === found.length - 1,
                    up: `Move up: ${name}`,
                    down: `Move down: ${name}`
                };
            });
            this.said = found.length ? "" : "No job waits.";
        } catch (error) {
            this.say(error);
        }
    }

    click(event) {
        return this.moveTo(event.currentTarget.dataset.job, Number(event.currentTarget.dataset.to));
    }

    press(event) {
        if (event.altKey && STEP[event.key]) {
            event.preventDefault();
            const { job, position } = event.currentTarget.dataset;
            this.moveTo(job, Number(position) + STEP[event.key]);
        }
    }

    async moveTo(jobId, position) {
        const from = this.rows.findIndex((row) => row.jobId === jobId);
        if (position < 0 || position >= this.rows.length) {
            return;
        }
        const { name } = this.rows[from];
        try {
            await move({ jobId, position });
            this.problem = undefined;
            // The record follows within seconds. Until then the order is what was asked for.
            const order = this.rows.filter((row) => row.jobId !== jobId);
            order.splice(position, 0, this.rows[from]);
            this.rows = order.map((row, at) => ({
                ...row,
                position: at,
                before: at - 1,
                after: at + 1,
                first: at === 0,
                last: at === order.length - 1
            }));
            this.said = `${name} is at position ${position + 1} of ${order.length}.`;
        } catch (error) {
            this.say(error);
        }
    }

    say(error) {
        this.problem = error?.body?.message || error?.message || "The org does not answer. Refresh this page.";
    }
}
