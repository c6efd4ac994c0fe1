//! What stands after the options of `--help`, no line longer than a terminal of eighty columns.

pub const EXAMPLES: &str = "\
Examples:
  cio2parquet demo
      no account needed: a simulated workspace becomes ./cio-lake
  CIO_TOKEN=... cio2parquet export --to ./lake
      every core stream; run it again and only what is new is read
  cio2parquet plan --to ./lake
      what that would ask for, and how long it would take
  cio2parquet export transactional_message_details --to ./lake --since 2y
      two years of deliveries; what the lake holds already is not read again

Environment:
  CIO_TOKEN      the App API key; it has no flag, for a command line is visible
                 to everyone
  CIO_REGION     us or eu
  CIO_API_URL    another address of the API
  CIO_HASH_KEY   the key of the hashes of columns.hash in a config file
  NO_COLOR       no colour and no progress lines, on a terminal too; so does
                 TERM=dumb
  A store takes its keys from its own variables (AWS_..., GOOGLE_...,
  AZURE_...): docs/stores tells which.

Exit codes:
  0 complete · 1 unexpected · 2 settings or input · 3 key refused
  4 forbidden (every stream) · 5 API failed · 6 storage failed
  7 another run holds a table · 8 complete with gaps
  9 stopped at --max-duration; the same command goes on
  130 interrupted; what was committed is safe and the same command goes on";

pub const CONFIG_HELP: &str = "\
Keys of the file; `config init` writes one that explains each, and
docs/config.md says what is refused:
  description, to, region, trigger, timezone, full_sync, prefix
  [storage]         endpoint, region, path_style, profile
  [columns]         exclude, hash
  [streams.STREAM]  table, sync, since, lookback, columns.exclude, columns.hash";

pub const EXPORT_HELP: &str = "\
An incremental run keeps every row ever fetched and reads again what may have
changed (the lookback). A full-table run makes the table what the API serves
now; a row is only removed on proof that it is gone. Settings are taken from
the flag, then the environment, then the config file, then the default. The
key is an App API key (Settings > API credentials); it has no flag of its own
because a key on a command line is visible to everyone on the machine: use
CIO_TOKEN or --token-file.";

pub const SCHEDULE_HELP: &str = "\
In the config file, for example: trigger = \"0 3 * * *\"
                                 timezone = \"Europe/Berlin\"
Each run is what export does with the same file, which is read again for each.
A run that fails is told of and ends nothing. Runs never overlap: what a long
run or a machine that slept has missed becomes one run, right after; so does
what was missed while schedule was down. A signal ends it with exit code 0 while
it waits, and during a run with that run's, once that has ended in good order.";

pub const PLAN_HELP: &str = "\
Takes the flags of export that say what is read, and tells what that would
cost. It claims nothing, writes nothing, and works beside a run. Deliveries
are foretold from the API's own counts by month (a request for each
transactional message), activities and people from what earlier runs have
read; where nobody can know, it says so. Exit code 0 when every stream may be
read, 8 for some of them, otherwise that of export.";

pub const CATALOG_HELP: &str = "\
A table of the tables, then each of them: how far it is complete, a cell for
each month, what could not be read, what was set aside, fields that drift, the
last runs. Reads the manifests only, and works beside a run.";

pub const VERIFY_HELP: &str = "\
Reads only, and works beside a run: what a run under way may explain is looked
at again, and what it has stored and not entered yet is a note (of many alike,
-v names each). Exit code 0 when nothing is damaged, 6 when something is, 2
for a place without tables.";

pub const RENAME_HELP: &str = "\
Copies the table's objects, takes the old ones away, and the manifest with all
marks goes with them. As long as it has not finished, no run writes into
either table; a glob over either folder returns each row once.";

pub const CHECK_HELP: &str = "\
Puts small objects below _check in the lake, reads, replaces and deletes them,
asks for one row of each stream, and reads the newest version of each table.
Changes no table, claims nothing, and leaves nothing behind; works beside a
run. Settings that a run would refuse are refused.

Exit code 0 when everything works, 2 when a table is not one for its stream, 3
when the key is refused, 4 when it has the right to no stream, 5 when
Customer.io cannot be read, 6 when the lake's store does not do what a run
needs or the manifest of a table cannot be read, 8 for some of the streams.";

pub const SQL_HELP: &str = "\
The tables are those of the lake's manifest. Where series are counted by day,
two more views show the newest day of export and a row for each day. A key is
never printed, only where the engine takes it from.

For example:
  cio2parquet sql duckdb --to ./lake > views.sql && duckdb -init views.sql";
