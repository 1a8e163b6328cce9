// What @elastic/elasticsearch does. Prints what it got.
// node elasticsearch_js.mjs URL INDEX, in a folder where the package is installed
import { createRequire } from "node:module";
import { join } from "node:path";

const { Client } = createRequire(join(process.cwd(), "package.json"))("@elastic/elasticsearch");
const [url, index] = process.argv.slice(2);
const client = new Client({ node: url, compression: true });
const query = { match: { text: "sheep" } };
const rerank = { query: "sheep", fields: ["text"], profile: "identity" };
const ids = (answer) => answer.hits.hits.map((hit) => hit._id);

const failed = async (call) => {
  try {
    await call();
  } catch (error) {
    return [error.name, error.statusCode, error.body.error.type];
  }
};

await client.indices.create({ index, settings: { number_of_shards: 1 } });
const rows = Array.from({ length: 40 }, (_, number) => ({
  number,
  text: `passage ${number} on ` + "sheep ".repeat(1 + (number % 7)),
}));
const bulk = await client.helpers.bulk({
  datasource: rows,
  onDocument: (row) => ({ index: { _index: index, _id: String(row.number) } }),
  refreshOnCompletion: true,
});
let scrolled = 0;
for await (const row of client.helpers.scrollDocuments({ index, query, size: 9 })) scrolled += row.text ? 1 : 0;
const many = await client.msearch({ searches: [{ index }, { query }, { index: "none" }, { query }] });
const reranked = await client.search({ index, query, size: 3, ext: { rerank } }, { meta: true });
const got = {
  bulk: bulk.successful,
  found: ids(await client.search({ index, query, size: 3 })),
  scrolled,
  many: many.responses.map((answer) => answer.status),
  error: await failed(() => client.search({ index: "none" })),
  exists: [await client.exists({ index, id: "1" }), await client.exists({ index, id: "none" })],
  reranked: [ids(reranked.body), reranked.headers["x-rerank-status"]],
};
await client.close();
process.stdout.write(JSON.stringify(got));
