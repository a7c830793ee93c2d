"""Tables as people have them are read, and it is said how; what has two readings is refused with what to write."""

import bz2
import gzip
import io
import lzma

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.runs.run_table import read_runs
from analysis.runs.sources import read_source
from analysis.runs.table_files import read_table
from grokcore.errors import DataError, GrokmapError

HEADER = ["fraction", "decay", "t_mem", "t_mem_event", "t_gen", "t_gen_event"]
ROWS = [[0.25 + 0.05 * i, 0.0125 * 2**i, 100 + i, True, 1000 + 7 * i, i % 3 > 0] for i in range(10)]
FRAME = pd.DataFrame(ROWS, columns=HEADER)


def text(separator=",", decimal=".", **options):
    return FRAME.to_csv(sep=separator, decimal=decimal, index=False, **options)


def same(frame):
    pd.testing.assert_frame_equal(frame, FRAME)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_any_usual_separator_encoding_and_line_end_is_read(tmp_path, separator, encoding, newline):
    (tmp_path / "runs.csv").write_bytes(text(separator).replace("\n", newline).encode(encoding))
    same(read_runs(tmp_path / "runs.csv"))
    notes = " ".join(read_source(tmp_path / "runs.csv").notes)
    assert ("separated by" in notes) == (separator != ",")
    assert ("UTF-" in notes) == ("16" in encoding or "32" in encoding)


@pytest.mark.parametrize("name", ["Runs.CSV", "runs.tsv", "RUNS.TSV", "my.runs.csv"])
def test_suffixes_are_read_in_any_case(tmp_path, name):
    (tmp_path / name).write_text(text("\t" if name.lower().endswith("tsv") else ","))
    same(read_runs(tmp_path / name))


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)])
def test_packed_tables_are_read_and_damaged_ones_refused(tmp_path, suffix, pack):
    path = tmp_path / f"runs.csv{suffix}"
    path.write_bytes(pack(text().encode()))
    same(read_runs(path))
    assert read_source(path).name == "runs"
    path.write_bytes(pack(text().encode())[:-9])
    with pytest.raises(DataError, match="cannot be read as a run table"):
        read_runs(path)


@pytest.mark.parametrize("separator", [";", "\t", ","])
def test_decimal_commas_are_read_and_said(tmp_path, separator):
    (tmp_path / "runs.csv").write_text(text(separator, ","))
    same(read_runs(tmp_path / "runs.csv"))
    assert "decimal commas" in " ".join(read_source(tmp_path / "runs.csv").notes)


def table(*columns):
    """Return a table of text of two columns, as a file of semicolons."""
    return "\n".join(["a;b", *(";".join(row) for row in zip(*columns, strict=True))]) + "\n"


@pytest.mark.parametrize(
    ("first", "second", "values"),
    [
        (["0,5", "0,25"], ["1,000", "2,000"], ([0.5, 0.25], [1.0, 2.0])),
        (["0.5", "0.25"], ["1,000.5", "2,000"], ([0.5, 0.25], [1000.5, 2000])),
        (["1,234,567", "5"], ["1,000", "20"], ([1234567, 5], [1000, 20])),
        (["1.234,5", "2,5"], ["3", "4"], ([1234.5, 2.5], [3, 4])),
        (["0,5", ""], ["0.75", "0.5"], ([0.5, np.nan], [0.75, 0.5])),
        (["-1,5e-3", "+2,5"], ["x", "y"], ([-0.0015, 2.5], ["x", "y"])),
    ],
)
def test_what_a_comma_means_is_concluded_from_numbers_that_show_it(tmp_path, first, second, values):
    (tmp_path / "runs.csv").write_text(table(first, second))
    frame = read_runs(tmp_path / "runs.csv")
    for name, wanted in zip("ab", values, strict=True):
        assert frame[name].tolist() == pytest.approx(wanted, nan_ok=True)


def test_a_comma_that_shows_neither_stays_a_word_and_contradictions_are_refused(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text(table(["1,000", "2,000"], ["0", "1"]))
    assert read_runs(path)["a"].tolist() == ["1,000", "2,000"]
    path.write_text(table(["0,5", "0,25"], ["1,234,567", "2"]))
    with pytest.raises(DataError, match=r"'0,5'.*between thousands \('1,234,567'\)"):
        read_runs(path)
    path.write_text(table(["0,5", "0,25"], ["1.000", "2.000"]))
    with pytest.raises(DataError, match=r"'1\.000' could be a thousand or a fraction"):
        read_runs(path)


def test_a_row_index_that_the_header_leaves_out_is_left_out_too(tmp_path):
    lines = text().splitlines()
    path = tmp_path / "runs.csv"
    path.write_text("\n".join([lines[0], *(f"{i + 1},{line}" for i, line in enumerate(lines[1:]))]))
    same(read_runs(path))
    path.write_text("\n".join([lines[0], *(f"run {chr(97 + i)},{line}" for i, line in enumerate(lines[1:]))]))
    same(read_runs(path))


def test_decimal_commas_between_commas_are_refused_not_shifted(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("fraction,t_mem,t_mem_event\n" + "".join(f"0,{i}5,100,True\n" for i in range(2, 9)))
    with pytest.raises(DataError, match="decimal commas in a table separated by commas"):
        read_runs(path)


def test_a_line_that_names_the_separator_is_heeded(tmp_path):
    (tmp_path / "runs.csv").write_text("sep=;\n" + text(";"))
    same(read_runs(tmp_path / "runs.csv"))


def test_comments_above_and_separators_after_the_last_cell_do_not_count(tmp_path):
    lines = text().splitlines()
    for content in (
        ["# made by hand", *lines],
        [f"{line}," for line in lines],
        [lines[0], *(f"{x}," for x in lines[1:])],
    ):
        (tmp_path / "runs.csv").write_text("\n".join(content))
        same(read_runs(tmp_path / "runs.csv"))


def test_blanks_in_headers_and_around_cells_do_not_count(tmp_path):
    spaced = text().replace(",", " , ").replace("t_mem_event", "T Mem Event")
    (tmp_path / "runs.csv").write_text(spaced)
    same(read_runs(tmp_path / "runs.csv"))


def test_identities_of_digits_stay_text(tmp_path):
    frame = FRAME.assign(run_id=[f"{i:016d}" for i in range(9)] + ["123456789012e345"])
    frame.to_csv(tmp_path / "runs.csv", index=False)
    assert read_runs(tmp_path / "runs.csv")["run_id"].tolist() == frame["run_id"].tolist()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"fraction,decay\n", "holds no rows"),
        (b"a,b\n1,2\n\x00\x01\x02\x00,5\n", "zero bytes"),
        (b"a,b\n1,2\n1,2,3,4\n", "header and rows of 4 cells"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, content, says):
    (tmp_path / "runs.csv").write_bytes(content)
    with pytest.raises(DataError, match=rf"runs\.csv.*{says}"):
        read_runs(tmp_path / "runs.csv")


def test_a_path_that_is_no_file_is_called_what_it_is(tmp_path):
    (tmp_path / "link.csv").symlink_to(tmp_path / "nowhere.csv")
    with pytest.raises(DataError, match="is a link to what does not exist"):
        read_runs(tmp_path / "link.csv")
    with pytest.raises(DataError, match="is not a file"):
        read_table((tmp_path / "x.csv").parent)


# ---- The law ---------------------------------------------------------------------------------------------------------

NAMES = st.one_of(
    st.sampled_from([*HEADER, "lr", "config.lr", "params_decay", "seed", "run_id", "steps", "outcome", "State", ""]),
    st.text(st.characters(blacklist_categories=("Cs",)), max_size=6),
    st.integers(0, 3),
)
COLUMNS = st.one_of(
    st.lists(st.floats(), min_size=9, max_size=9),
    st.lists(st.integers(-(2**70), 2**70), min_size=9, max_size=9),
    st.lists(st.booleans(), min_size=9, max_size=9),
    st.lists(st.none() | st.integers(0, 3000), min_size=9, max_size=9),
    st.lists(st.text(st.characters(blacklist_categories=("Cs",)), max_size=5), min_size=9, max_size=9),
    st.lists(st.datetimes().map(pd.Timestamp), min_size=9, max_size=9),
    st.lists(st.sampled_from(["True", "False", "yes", "no", "1,5", "half", None]), min_size=9, max_size=9),
    st.lists(st.sampled_from(["1e400", "9" * 400, "0.5", "-inf"]), min_size=9, max_size=9),
)


@st.composite
def frames(draw):
    """Strategy: any table that has something of a run table's columns."""
    names = draw(st.lists(NAMES, min_size=1, max_size=7))
    columns = [pd.Series(draw(COLUMNS), dtype=object) for _ in names]
    kinds = draw(st.lists(st.booleans(), min_size=len(names), max_size=len(names)))
    frame = pd.concat([c.infer_objects() if k else c for c, k in zip(columns, kinds, strict=True)], axis=1)
    frame.columns = pd.Index(names, dtype=object)
    index = draw(st.sampled_from([None, "fraction", "some index", 5]))
    if index is not None:
        frame.index = pd.Index(np.arange(9) / 10, name=index)
    return frame


def mapped_or_refused(source):
    """Read a source as `grokmap map` does, up to the fit."""
    from analysis.runs.categories import make_categories, split_scales
    from analysis.runs.run_table import check_runs

    try:
        found = read_source(source)
        rule = found.rule_with(budget=3000)
        found = found.completed(rule.budget)
        numeric, categories = split_scales(found.scales)
        make_categories(found.frame, categories)
        checked = check_runs(found.frame, numeric, rule.threshold, found.box)
    except GrokmapError as error:
        assert str(error)  # noqa: PT017 - either way is right
        return False
    assert np.isfinite(checked.table[[axis.name for axis in checked.axes]]).all(axis=None)
    assert not {axis.name for axis in checked.axes} & {"seed", "run_id", "", "some index"}
    return True


LAW = settings(
    max_examples=120, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@LAW
@given(
    frame=frames(),
    separator=st.sampled_from([",", ";", "\t", "|"]),
    decimal=st.sampled_from([".", ","]),
    encoding=st.sampled_from(["utf-8", "utf-16", "utf-8-sig", "cp1252"]),
    index=st.booleans(),
)
def test_any_text_that_pandas_writes_becomes_a_maps_table_or_is_refused(
    tmp_path, frame, separator, decimal, encoding, index
):
    path = tmp_path / "runs.csv"
    written = frame.to_csv(sep=separator, decimal=decimal, index=index)
    path.write_bytes(written.encode(encoding, "replace"))
    mapped_or_refused(path)


@pytest.mark.filterwarnings("ignore:The DataFrame has:UserWarning")  # pyarrow, while it writes names that are no text
@LAW
@given(frame=frames(), index=st.booleans())
def test_any_parquet_that_pandas_writes_becomes_a_maps_table_or_is_refused(tmp_path, frame, index):
    mapped_or_refused(frame)
    try:
        frame.to_parquet(tmp_path / "runs.parquet", index=index or None)
    except (ValueError, TypeError, OverflowError):
        return  # pandas cannot write it
    mapped_or_refused(tmp_path / "runs.parquet")


@LAW
@given(
    spoilt=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), max_size=2),
    cell=st.sampled_from(["", "x", "1e999", "9" * 400, "-1", "None", "0,5", "[1, 2]"]),
    separator=st.sampled_from([",", ";"]),
)
def test_a_right_table_is_mapped_whatever_its_form_and_a_spoilt_cell_is_refused_or_harmless(
    tmp_path, spoilt, cell, separator
):
    frame = FRAME.astype(object)
    for row, column in spoilt:
        frame.iat[row, column] = cell
    frame.to_csv(tmp_path / "runs.csv", sep=separator, index=False)
    assert mapped_or_refused(tmp_path / "runs.csv") or spoilt


def mutations(data, rng, count):
    """Yield `data` with bytes changed, cut out, doubled or cut off."""
    for _ in range(count):
        start = int(rng.integers(len(data)))
        length = int(rng.integers(1, 40))
        put = [rng.bytes(length), b"", data[start : start + length] * 2, b'";,\n'][int(rng.integers(4))]
        whole = data[:start] + put + data[start + length :]
        yield whole if rng.random() < 0.9 else whole[:start]


def fuzz(folder, count, seed=0):
    """Return how many of `count` mutated tables of each form are read, and how many refused; raise for all else."""
    buffer = io.BytesIO()
    FRAME.to_parquet(buffer)
    forms = {
        "runs.csv": text().encode(),
        "commas.csv": text(";", ",").encode(),
        "wide.csv": text().encode("utf-16"),
        "runs.csv.gz": gzip.compress(text().encode(), mtime=0),
        "runs.parquet": buffer.getvalue(),
    }
    rng = np.random.default_rng(seed)
    ends = {}
    for name, data in forms.items():
        good = 0
        for content in mutations(data, rng, count):
            (folder / name).write_bytes(content)
            good += mapped_or_refused(folder / name)
        ends[name] = (good, count - good)
    return ends


@pytest.mark.filterwarnings("ignore::UserWarning")  # pandas, of dates it guesses in a damaged file's metadata
def test_mutated_tables_are_read_or_refused(tmp_path):
    ends = fuzz(tmp_path, 60)
    assert all(sum(counts) == 60 for counts in ends.values())
    assert ends["runs.csv"][0] > 0  # some mutations are harmless, so that both ways are walked
