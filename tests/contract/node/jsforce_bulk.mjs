// jsforce's Bulk API 2.0, one function a test of test_jsforce_bulk.py.
import { readFile, writeFile } from "node:fs/promises";
import { createReadStream, createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { connect, failure } from "./jsforce_connect.mjs";

function bulk(where) {
  const conn = connect(where);
  conn.bulk2.pollInterval = 100;
  conn.bulk2.pollTimeout = 60_000;
  return conn;
}

const load = (conn, operation, input, more = {}) => conn.bulk2.loadAndWaitForResults({ object: "Account", operation, input, ...more });

const brief = ({ successfulResults, failedResults, unprocessedRecords }) => ({
  good: successfulResults.length,
  created: successfulResults.filter((row) => row.sf__Created === "true").length,
  bad: failedResults.map((row) => row.sf__Error),
  rest: unprocessedRecords.length,
});

export async function operations({ name, key, opportunity, ...where }) {
  const conn = bulk(where);
  const input = Array.from({ length: 450 }, (_, index) => ({ Name: `${name} ${index}`, BillingCity: index % 2 ? "Bern" : 'a "quoted", city' }));
  input.push({ Name: "", BillingCity: "nameless" });
  const inserted = await load(conn, "insert", input);
  const ids = inserted.successfulResults.map((row) => row.sf__Id);
  const updated = await load(conn, "update", ids.slice(0, 300).map((Id) => ({ Id, BillingCity: "#N/A", Site: "new" })));
  const upserted = await load(
    conn, "upsert",
    [{ QuoteJobKey__c: key, Name: "One", OpportunityId: opportunity }, { QuoteJobKey__c: `${key}-b`, Name: "Two", OpportunityId: opportunity }],
    { object: "Quote", externalIdFieldName: "QuoteJobKey__c" },
  );
  const again = await load(conn, "upsert", `QuoteJobKey__c,Name\n${key},Changed\n`, { object: "Quote", externalIdFieldName: "QuoteJobKey__c" });
  const deleted = await load(conn, "delete", ids.slice(0, 100).map((Id) => ({ Id })));
  const hardDeleted = await load(conn, "hardDelete", ids.slice(100, 200).map((Id) => ({ Id })));
  const like = `FROM Account WHERE Name LIKE '${name}%'`;
  const count = async (soql, options) => (await conn.query(soql, options)).totalSize;
  return {
    inserted: brief(inserted), updated: brief(updated), upserted: brief(upserted), again: brief(again),
    deleted: brief(deleted), hardDeleted: brief(hardDeleted),
    columns: Object.keys(inserted.successfulResults[0]),
    failed: inserted.failedResults[0],
    left: await count(`SELECT Id ${like}`),
    cleared: await count(`SELECT Id ${like} AND BillingCity = null AND Site = 'new'`),
    binned: await count(`SELECT Id ${like} AND IsDeleted = true`, { scanAll: true }),
    quotes: (await conn.query(`SELECT Name FROM Quote WHERE OpportunityId = '${opportunity}' ORDER BY Name`)).records.map((row) => row.Name),
  };
}

export async function steps({ name, folder, ...where }) {
  const conn = bulk(where);
  const file = `${folder}/accounts.csv`;
  await writeFile(file, `Name;Site\r\n${name} 1;"one; half"\r\n${name} 2;two\r\n`);
  const job = conn.bulk2.createJob({ operation: "insert", object: "Account", lineEnding: "CRLF", columnDelimiter: "SEMICOLON" });
  const opened = await job.open();
  await job.uploadData(createReadStream(file));
  await job.close();
  const afterClose = await job.check();
  await job.poll();
  const info = await job.check();
  const raw = await job.getSuccessfulResults(true);
  const reopened = conn.bulk2.job("ingest", { id: job.id });
  const failed = await reopened.getFailedResults(true);
  const unprocessed = await reopened.getUnprocessedRecords(true);
  const late = await failure(reopened.abort());
  await reopened.delete();
  const gone = await failure(conn.bulk2.job("ingest", { id: job.id }).check());
  const aborted = conn.bulk2.createJob({ operation: "insert", object: "Account" });
  await aborted.open();
  await aborted.uploadData(`Name\n${name} never\n`);
  await aborted.abort();
  return {
    opened, afterClose: afterClose.state, info, raw, failed, unprocessed, late, gone,
    aborted: (await aborted.check()).state,
    rows: (await conn.query(`SELECT Name, Site FROM Account WHERE Name LIKE '${name}%' ORDER BY Name`)).records.map((row) => [row.Name, row.Site]),
    noObject: await failure(conn.bulk2.createJob({ operation: "insert", object: "Nonsense__c" }).open()),
    noField: await failure(conn.bulk2.createJob({ operation: "upsert", object: "Quote" }).open()),
  };
}

export async function query({ soql, folder, ...where }) {
  const conn = bulk(where);
  const records = await (await conn.bulk2.query(soql)).toArray();
  const file = `${folder}/out.csv`;
  const stream = await conn.bulk2.query(soql, { columnDelimiter: "PIPE", lineEnding: "CRLF" });
  await pipeline(stream.stream(), createWriteStream(file));
  const all = await (await conn.bulk2.query("SELECT Id, IsDeleted FROM Account WHERE IsDeleted = true", { scanAll: true })).toArray();
  const [job] = (await conn.request("/jobs/query")).records;
  return {
    rows: records.length, first: records[0], distinct: new Set(records.map((row) => row.Id)).size,
    csv: await readFile(file, "utf8"),
    deleted: all.map((row) => row.IsDeleted),
    job,
    refused: await failure(conn.bulk2.query("SELECT Nonsense__c FROM Account")),
    children: await failure(conn.bulk2.query("SELECT Id, (SELECT Id FROM Opportunities) FROM Account")),
  };
}
