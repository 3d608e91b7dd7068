// What jsforce does with rows, one function a test of test_jsforce_rows.py.
import { jsforce, connect, failure } from "./jsforce_connect.mjs";

export async function autoFetch({ soql, ...where }) {
  const conn = connect(where);
  const all = await conn.query(soql, { autoFetch: true, maxFetch: 100_000 });
  const first = await conn.query(soql);
  const second = await conn.queryMore(first.nextRecordsUrl);
  const streamed = [];
  await new Promise((resolve, reject) => {
    conn
      .query(soql)
      .on("record", (record) => streamed.push(record.Id))
      .on("end", resolve)
      .on("error", reject)
      .run({ autoFetch: true, maxFetch: 2100 });
  });
  return {
    all: { totalSize: all.totalSize, done: all.done, ids: all.records.map((row) => row.Id) },
    first: { totalSize: first.totalSize, done: first.done, rows: first.records.length },
    second: { totalSize: second.totalSize, done: second.done, rows: second.records.length },
    streamed: streamed.length,
    attributes: all.records[0].attributes,
    limitInfo: conn.limitInfo,
  };
}

export async function children({ soql, ...where }) {
  const conn = connect(where);
  const plain = await conn.query(soql);
  const fetched = await conn.query(soql, { autoFetch: true });
  const field = Object.keys(plain.records[0]).find((key) => plain.records[0][key]?.records);
  const [some, every] = [plain.records[0][field], fetched.records[0][field]];
  return {
    field,
    plain: { totalSize: some.totalSize, done: some.done, rows: some.records.length, next: some.nextRecordsUrl },
    fetched: { totalSize: every.totalSize, done: every.done, names: every.records.map((row) => row.Name) },
    childless: fetched.records.slice(1).map((row) => row[field]),
  };
}

export async function crud({ name, ...where }) {
  const conn = connect(where);
  const made = await conn.sobject("Account").create({ Name: name, AnnualRevenue: 12, BillingCity: "Köln" });
  const read = await conn.sobject("Account").retrieve(made.id);
  const some = await conn.retrieve("Account", made.id.slice(0, 15), { fields: ["Id", "Name"] });
  const changed = await conn.sobject("Account").update({ Id: made.id, AnnualRevenue: 13, BillingCity: null });
  const again = await conn.sobject("Account").retrieve(made.id);
  const gone = await conn.sobject("Account").destroy(made.id);
  return {
    made, read, some, changed, again, gone,
    deleted: await failure(conn.sobject("Account").retrieve(made.id)),
    binned: await conn.query(`SELECT Id, IsDeleted FROM Account WHERE Id = '${made.id}'`, { scanAll: true }),
    missing: await failure(conn.sobject("Account").create({ BillingCity: "Rom" })),
    unknown: await failure(conn.sobject("Account").create({ Name: name, Nonsense__c: 1 })),
    badQuery: await failure(conn.query("SELECT Nonsense__c FROM Account")),
    notSoql: await failure(conn.query("SELEKT Id FROM Account")),
    noObject: await failure(conn.sobject("Nonsense__c").describe()),
  };
}

export async function upsert({ opportunity, key, ...where }) {
  const conn = connect(where);
  const quotes = conn.sobject("Quote");
  const created = await quotes.upsert({ QuoteJobKey__c: key, OpportunityId: opportunity, Name: "One" }, "QuoteJobKey__c");
  const updated = await quotes.upsert({ QuoteJobKey__c: key, Name: "Two" }, "QuoteJobKey__c");
  const many = await quotes.upsert(
    [
      { QuoteJobKey__c: key, Name: "Three" },
      { QuoteJobKey__c: `${key}-b`, Name: "Four", OpportunityId: opportunity },
      { QuoteJobKey__c: `${key}-c`, OpportunityId: opportunity },
    ],
    "QuoteJobKey__c",
  );
  return {
    created, updated, many,
    rows: (await conn.query(`SELECT Id, Name, QuoteJobKey__c FROM Quote WHERE OpportunityId = '${opportunity}' ORDER BY Name`)).records,
    byKey: await conn.request(`/sobjects/Quote/QuoteJobKey__c/${key}`),
  };
}

export async function collections({ name, ...where }) {
  const conn = connect(where);
  const accounts = conn.sobject("Account");
  const made = await accounts.create(
    Array.from({ length: 250 }, (_, index) => ({ Name: `${name} ${index}`, NumberOfEmployees: index })),
    { allowRecursive: true },
  );
  const ids = made.map((result) => result.id);
  const tooMany = await failure(accounts.create(Array.from({ length: 201 }, () => ({ Name: name }))));
  const mixed = await accounts.create([{ Name: `${name} mixed` }, { BillingCity: "Rom" }]);
  const none = await accounts.create([{ Name: `${name} none` }, { BillingCity: "Rom" }], { allOrNone: true });
  const changed = await accounts.update(
    [{ Id: ids[0], NumberOfEmployees: 1000 }, { Id: "001000000000000AAA", Name: "x" }, { Id: ids[1], Name: "x".repeat(300) }],
  );
  const read = await accounts.retrieve([ids[0], ids[1], "001000000000000AAA"], { fields: ["Id", "NumberOfEmployees"] });
  const whole = await accounts.retrieve(ids.slice(2, 4));
  const gone = await accounts.destroy([ids[0], ids[0]]);
  const rest = await accounts.destroy(ids.slice(1), { allowRecursive: true });
  return {
    made: made.map(({ success, errors }) => [success, errors.length]),
    distinct: new Set(ids).size,
    tooMany, mixed, none, changed, read, gone,
    whole: whole.map((row) => [row.attributes.type, row.NumberOfEmployees, row.Name]),
    rest: rest.filter((result) => result.success).length,
    left: await accounts.count({ Name: { $like: `${name}%` } }),
  };
}

export async function builder({ name, account, ...where }) {
  const conn = connect(where);
  await conn.sobject("Opportunity").create([
    { Name: `${name} A`, AccountId: account, StageName: "Prospecting", CloseDate: "2027-03-01", Amount: 10 },
    { Name: `${name} B`, AccountId: account, StageName: "Closed Won", CloseDate: "2027-03-02", Amount: 20 },
    { Name: `${name} O'C`, AccountId: account, StageName: "Prospecting", CloseDate: "2027-03-03", Amount: 30 },
  ]);
  const own = { AccountId: account };
  const opportunities = conn.sobject("Opportunity");
  return {
    sorted: (await opportunities.find({ ...own, Amount: { $gte: 20 } }, ["Name", "Account.Name"]).sort({ Amount: -1 })),
    dated: (await opportunities.find({ ...own, CloseDate: { $gt: jsforce.SfDate.toDateLiteral("2027-03-02") } }, "Name")),
    quoted: await opportunities.findOne({ Name: `${name} O'C` }, { Name: 1, StageName: 1 }),
    either: await opportunities.count({ $and: [own, { $or: [{ StageName: "Closed Won" }, { Amount: { $lt: 15 } }] }] }),
    within: await opportunities.count({ ...own, StageName: { $in: ["Closed Won", "Closed Lost"] } }),
    stars: Object.keys(await opportunities.findOne(own, "*")).length,
    skipped: (await opportunities.find(own, "Name").sort("Name").limit(1).offset(1)),
    parents: await conn.sobject("Account").find({ Id: account }, "Id, Name").include("Opportunities").select("Name, Amount").orderby("Amount", "DESC").limit(2).end(),
    grouped: (await conn.query(`SELECT StageName, COUNT(Id) many, SUM(Amount) FROM Opportunity WHERE AccountId = '${account}' GROUP BY StageName ORDER BY StageName`)).records,
    explained: await opportunities.find(own).explain(),
    updated: await opportunities.find({ ...own, Amount: 10 }).update({ NextStep: "Call ${Name}" }),
    destroyed: await opportunities.find({ ...own, Amount: 20 }).destroy(),
    left: (await opportunities.find(own, "Name, NextStep").sort("Name")),
  };
}

export async function destroy({ type, id, ...where }) {
  return connect(where).sobject(type).destroy(id);
}

export async function count({ soql, ...where }) {
  return (await connect(where).query(soql)).totalSize;
}

export async function large({ id, ...where }) {
  const conn = connect(where);
  const soql = `SELECT Id, Amount FROM Opportunity WHERE Id = '${id}'`;
  const read = (await conn.query(soql)).records[0].Amount;
  const updated = await conn.sobject("Opportunity").update({ Id: id, Amount: read + 0.5 });
  const [row] = await (await conn.bulk2.query(soql)).toArray();
  return { read, updated: updated.success, csv: row.Amount, again: (await conn.query(soql)).records[0].Amount };
}
