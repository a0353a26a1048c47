"""Counts what is in exported tables with pandas, pyarrow and DuckDB, or runs the queries of the documentation.

Works in the current folder, on ports.arrow, ports.parquet, ports.csv and ports.jsonl; prints one JSON document.
"""

import collections
import json
import sys

import duckdb
import pandas
import pyarrow.compute
import pyarrow.ipc
import pyarrow.parquet


def number(query):
    return duckdb.execute(query).fetchall()[0][0]


def by_duckdb(table):
    def pairs(query):
        return {str(key): count for key, count in duckdb.execute(query).fetchall()}

    asked = f"from {table} where type = 'allocation'"
    return {
        "allocations": number(f"select count(*) {asked}"),
        "failures": number(f"select count(*) {asked} and result = 'failed'"),
        "by_error": pairs(f"select error, count(*) from {table} where result = 'failed' group by error"),
        "by_pid": pairs(f"select pid, count(*) {asked} group by pid"),
    }


def by_pandas(frame):
    asked = frame[frame["type"] == "allocation"]
    failed = frame[frame["result"] == "failed"]
    return {
        "allocations": len(asked),
        "failures": int((asked["result"] == "failed").sum()),
        "by_error": {str(key): int(count) for key, count in failed["error"].value_counts().items() if count},
        "by_pid": {str(key): int(count) for key, count in asked["pid"].value_counts().items()},
    }


def by_pyarrow(table):
    def counts(column):
        return {str(one["values"]): one["counts"] for one in pyarrow.compute.value_counts(column).to_pylist()}

    asked = table.filter(pyarrow.compute.equal(table["type"].cast("string"), "allocation"))
    failed = table.filter(pyarrow.compute.equal(table["result"].cast("string"), "failed"))
    return {
        "allocations": asked.num_rows,
        "failures": pyarrow.compute.sum(pyarrow.compute.equal(asked["result"].cast("string"), "failed")).as_py(),
        "by_error": counts(failed["error"].cast("string")),
        "by_pid": counts(asked["pid"]),
    }


def counted():
    table = pyarrow.parquet.read_table("ports.parquet")
    metadata = {key.decode(): value.decode() for key, value in pyarrow.parquet.read_metadata("ports.parquet").metadata.items()}
    recording = pyarrow.ipc.open_stream("ports.arrow").read_all()
    kinds = collections.Counter(recording["kind"].to_pylist())
    return {
        "counts": {
            "DuckDB, Parquet": by_duckdb("'ports.parquet'"),
            "DuckDB, CSV": by_duckdb("'ports.csv'"),
            "DuckDB, JSON Lines": by_duckdb("'ports.jsonl'"),
            "pandas, Parquet": by_pandas(pandas.read_parquet("ports.parquet")),
            "pandas, CSV": by_pandas(pandas.read_csv("ports.csv")),
            "pyarrow, Parquet": by_pyarrow(table),
        },
        "rows": table.num_rows,
        "recorded": sum(count for kind, count in kinds.items() if kind < 8),
        "footer": json.loads(metadata["portscope.footer"]),
        "cut": metadata.get("portscope.cut"),
    }


def queried(document):
    """Runs the blocks of a text that are marked as SQL or Python; tells how many rows the SQL ones gave."""
    language, lines, ran = None, [], []
    for line in open(document):
        if not line.startswith("```"):
            lines.append(line)
        elif language is None:
            language, lines = line[3:].strip(), []
        else:
            if language == "sql":
                ran.append(["sql", number(f"select count(*) from ({''.join(lines)})")])
            elif language == "python":
                names = {}
                exec("".join(lines), names)
                ran.append(["python", len(names["answer"])])
            language = None
    return ran


print(json.dumps(queried(sys.argv[1]) if len(sys.argv) > 1 else counted()))
