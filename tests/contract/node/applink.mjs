// What @heroku/applink does with an org, one function a test of test_applink_node.py.
import applink from "@heroku/applink";

const sdk = applink.init();

const authorized = () => sdk.addons.applink.getAuthorization("worker");

async function failure(promise) {
  try {
    return { unexpected: await promise };
  } catch (error) {
    return { errorCode: error.errorCode, message: error.message };
  }
}

export async function authorization() {
  const org = await authorized();
  return {
    id: org.id, domainUrl: org.domainUrl, user: org.user, apiVersion: org.apiVersion,
    limits: await org.request(`services/data/v${org.apiVersion}/limits`),
    unknown: await failure(sdk.addons.applink.getAuthorization("nobody")),
    colour: (await sdk.addons.applink.getAuthorization("local", "HEROKU_APPLINK")).id,
  };
}

// An org as it comes with a request from Salesforce: the x-client-context header of External Services.
function invoked({ url, token, orgId, userId }) {
  const context = {
    requestId: `${orgId}-x`, accessToken: token, apiVersion: "66.0", namespace: "", orgId, orgDomainUrl: url,
    userContext: { userId, username: "admin@localorg.example" },
  };
  const header = Buffer.from(JSON.stringify(context)).toString("base64");
  return sdk.salesforce.parseRequest({ "x-client-context": header }, {}, console).context.org;
}

export async function queries({ soql, childSoql, ...where }) {
  const { dataApi } = invoked(where);
  const first = await dataApi.query(soql);
  const second = await dataApi.queryMore(first);
  let page = (await dataApi.query(childSoql)).records[0].subQueryResults.Opportunities;
  const names = page.records.map((record) => record.fields.Name);
  const { totalSize, done } = page;
  while (!page.done) {
    page = await dataApi.queryMore(page);
    names.push(...page.records.map((record) => record.fields.Name));
  }
  return {
    first: { totalSize: first.totalSize, done: first.done, rows: first.records.length },
    second: { done: second.done, rows: second.records.length },
    record: { type: first.records[0].type, name: first.records[0].fields.name, account: first.records[0].fields.Account.fields.name },
    children: { totalSize, done, names },
  };
}

export async function rows({ name, ...where }) {
  const { dataApi } = invoked(where);
  const made = await dataApi.create({ type: "Account", fields: { Name: name, AnnualRevenue: 3 } });
  const changed = await dataApi.update({ type: "Account", fields: { id: made.id, BillingCity: "Bern" } });
  const read = await dataApi.query(`SELECT BillingCity FROM Account WHERE Id = '${made.id}'`);
  const gone = await dataApi.delete("Account", made.id);
  return {
    made, changed, gone, city: read.records[0].fields.BillingCity,
    missing: await failure(dataApi.create({ type: "Account", fields: { BillingCity: "Rom" } })),
    bad: await failure(dataApi.query("SELECT Nonsense__c FROM Account")),
    again: await failure(dataApi.delete("Account", made.id)),
  };
}

export async function unitOfWork({ name, ...where }) {
  const { dataApi } = invoked(where);
  const old = await dataApi.create({ type: "Account", fields: { Name: `${name} old` } });
  const doomed = await dataApi.create({ type: "Account", fields: { Name: `${name} doomed` } });
  const unit = dataApi.newUnitOfWork();
  const account = unit.registerCreate({ type: "Account", fields: { Name: name } });
  const deal = unit.registerCreate({
    type: "Opportunity",
    fields: { Name: name, AccountId: account, StageName: "Prospecting", CloseDate: "2027-01-31" },
  });
  const changed = unit.registerUpdate({ type: "Account", fields: { id: old.id, ParentId: account } });
  const gone = unit.registerDelete("Account", doomed.id);
  const result = await dataApi.commitUnitOfWork(unit);
  const bad = dataApi.newUnitOfWork();
  const lost = bad.registerCreate({ type: "Account", fields: { Name: `${name} lost` } });
  bad.registerCreate({ type: "Opportunity", fields: { Name: name, AccountId: lost } });
  return {
    old: old.id, doomed: doomed.id,
    account: result.get(account).id, deal: result.get(deal).id, changed: result.get(changed).id, gone: result.get(gone).id,
    failed: await failure(dataApi.commitUnitOfWork(bad)),
  };
}

async function ended(bulkApi, job) {
  if (job.error) throw job.error;
  for (let tries = 0; tries < 600; tries += 1) {
    const info = await bulkApi.getInfo(job);
    if (["JobComplete", "Failed", "Aborted"].includes(info.state)) return info;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`job ${job.id} did not end`);
}

const table = (data) => ({ columns: data.columns, rows: data.map((row) => Object.fromEntries(row)) });

export async function bulk({ name, ...where }) {
  const { bulkApi, dataApi } = invoked(where);
  const accounts = bulkApi.createDataTableBuilder(["Name", "BillingCity"]);
  for (let number = 0; number < 120; number += 1) accounts.addRow([`${name} ${number}`, 'a, "b"']);
  accounts.addRow(new Map([["Name", ""], ["BillingCity", "nameless"]]));
  const [job] = await bulkApi.ingest({ object: "Account", operation: "insert", dataTable: accounts.build() });
  const info = await ended(bulkApi, job);
  const good = table(await bulkApi.getSuccessfulResults(job));
  const bad = table(await bulkApi.getFailedResults(job));
  const rest = table(await bulkApi.getUnprocessedRecords(job));

  const updates = bulkApi.createDataTableBuilder(["Id", "BillingCity"]);
  updates.addRows(good.rows.slice(0, 20).map((row) => [row.sf__Id, bulkApi.formatNullValue()]));
  const [update] = await bulkApi.ingest({ object: "Account", operation: "update", dataTable: updates.build() });
  const updated = await ended(bulkApi, update);

  const query = await bulkApi.query({ soql: `SELECT Id, Name, BillingCity FROM Account WHERE Name LIKE '${name} %'` });
  const queried = await ended(bulkApi, query);
  let page = await bulkApi.getQueryResults(query, { maxRecords: 50 });
  const pages = [page];
  while (!page.done) {
    page = await bulkApi.getMoreQueryResults(page, { maxRecords: 50 });
    pages.push(page);
  }

  const doomed = bulkApi.createDataTableBuilder(["Id"]).addRows(good.rows.map((row) => [row.sf__Id])).build();
  const [deletion] = await bulkApi.ingest({ object: "Account", operation: "hardDelete", dataTable: doomed });
  const deleted = await ended(bulkApi, deletion);
  const [refused] = await bulkApi.ingest({ object: "Nonsense__c", operation: "insert", dataTable: accounts.build() });
  await bulkApi.delete(query);
  await bulkApi.delete(job);
  return {
    info, good: { columns: good.columns, rows: good.rows.length }, bad: bad.rows, rest: rest.rows.length,
    updated, queried, deleted,
    pages: pages.map((each) => ({ numberOfRecords: each.numberOfRecords, done: each.done, locator: each.locator ?? null, rows: each.dataTable.length })),
    ids: new Set(pages.flatMap((each) => each.dataTable.map((row) => row.get("Id")))).size,
    empty: pages.flatMap((each) => each.dataTable.filter((row) => row.get("BillingCity") === "")).length,
    left: (await dataApi.query(`SELECT Id FROM Account WHERE Name LIKE '${name} %'`)).totalSize,
    refused: { error: refused.error?.errorCode, unprocessed: refused.unprocessedRecords?.length },
    gone: await failure(bulkApi.getInfo(query)),
  };
}
