import { LightningElement } from "lwc";
import { onError, subscribe, unsubscribe } from "lightning/empApi";
import jobs from "@salesforce/apex/QuoteJobController.jobs";
import change from "@salesforce/apex/QuoteJobSteps.change";

const CHANNEL = "/event/QuoteJobProgress__e";
const REST = 1000; // milliseconds between two loads: many events are one load
const STEPS = {
    abort: { label: "Abort", of: ["Holding", "Queued", "Preparing", "Processing"] },
    resume: { label: "Resume", of: ["Failed", "Aborted"] },
    retry: { label: "Retry failed", of: ["Completed", "Failed", "Aborted"] }
};

/** What a person sees of one record. */
export function shown(job) {
    const total = job.TotalJobItems__c || 0;
    const done = job.JobItemsProcessed__c || 0;
    const failed = job.RecordsFailed__c || 0;
    const name = job.Name || job.JobId__c;
    const steps = Object.keys(STEPS)
        .filter((step) => STEPS[step].of.includes(job.Status__c) && (step !== "retry" || failed > 0))
        .map((step) => ({ name: step, label: STEPS[step].label, title: `${STEPS[step].label}: ${name}` }));
    return {
        jobId: job.JobId__c,
        name,
        percent: job.Status__c === "Completed" ? 100 : total ? Math.floor((100 * done) / total) : 0,
        sentence: `${job.Status__c}, pages ${done} of ${total}, ${job.RecordsSucceeded__c || 0} succeeded, ${failed} failed`,
        reason: job.ExtendedStatus__c,
        failed: failed > 0,
        steps
    };
}

export default class QuoteJobs extends LightningElement {
    rows = [];
    loaded = false;
    busy = false;
    problem;
    subscription;
    timer;

    get empty() {
        return this.loaded && this.rows.length === 0;
    }

    async connectedCallback() {
        onError((error) => this.say(error));
        await this.load();
        try {
            this.subscription = await subscribe(CHANNEL, -1, () => this.later());
        } catch (error) {
            this.say(error);
        }
    }

    disconnectedCallback() {
        clearTimeout(this.timer);
        if (this.subscription) {
            unsubscribe(this.subscription, () => {});
        }
    }

    later() {
        if (!this.timer) {
            // eslint-disable-next-line @lwc/lwc/no-async-operation
            this.timer = setTimeout(() => {
                this.timer = undefined;
                this.load();
            }, REST);
        }
    }

    async load() {
        try {
            this.rows = (await jobs()).map(shown);
            this.loaded = true;
            this.problem = undefined;
        } catch (error) {
            this.say(error);
        }
    }

    async change(event) {
        const { job, step } = event.currentTarget.dataset;
        this.busy = true;
        try {
            await change({ jobId: job, step });
            await this.load();
        } catch (error) {
            this.say(error);
        } finally {
            this.busy = false;
        }
    }

    say(error) {
        this.problem = error?.body?.message || error?.message || "The org does not answer. Refresh this page.";
    }
}
