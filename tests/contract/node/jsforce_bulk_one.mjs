// jsforce's Bulk API 1.0, one function a test of test_bulk_one_clients.py.
import { connect, failure } from "./jsforce_connect.mjs";

function bulk(where) {
  const conn = connect(where);
  conn.bulk.pollInterval = 100;
  conn.bulk.pollTimeout = 60_000;
  return conn;
}

export async function operations({ name, key, opportunity, ...where }) {
  const conn = bulk(where);
  const input = Array.from({ length: 300 }, (_, index) => ({ Name: `${name} ${index}`, Site: 'a "quoted", site' }));
  input.push({ Name: "", Site: "nameless" });
  const inserted = await conn.bulk.load("Account", "insert", input);
  const ids = inserted.filter((row) => row.success).map((row) => row.id);
  const updated = await conn.bulk.load("Account", "update", ids.slice(0, 100).map((Id) => ({ Id, Site: null })));
  const options = { extIdField: "QuoteJobKey__c", concurrencyMode: "Serial" };
  const upsert = (Name) => conn.bulk.load("Quote", "upsert", options, [{ QuoteJobKey__c: key, Name, OpportunityId: opportunity }]);
  const upserted = await upsert("One");
  const like = `SELECT Id, Name, Site FROM Account WHERE Name LIKE '${name}%'`;
  const found = await (await conn.bulk.query(like)).toArray();
  const none = await (await conn.bulk.query("SELECT Id FROM Account WHERE Name = 'nobody at all'")).toArray();
  const deleted = await conn.bulk.load("Account", "delete", ids.map((Id) => ({ Id })));
  const count = (rows) => rows.filter((row) => row.success).length;
  return {
    inserted: count(inserted), last: inserted.at(-1), updated: count(updated), upserted: upserted[0],
    found: found.length, cleared: found.filter((row) => !row.Site).length, none: none.length, deleted: count(deleted),
  };
}

export async function refusals({ ...where }) {
  const conn = bulk(where);
  const gone = bulk({ ...where, token: "00D000000000000!gone" });
  return {
    noObject: await failure(conn.bulk.load("Nonsense__c", "insert", [{ Name: "x" }])),
    noField: await failure(conn.bulk.load("Account", "insert", [{ Nonsense__c: "x" }])),
    noSession: await failure(gone.bulk.load("Account", "insert", [{ Name: "x" }])),
  };
}
