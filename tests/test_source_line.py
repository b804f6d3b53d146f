"""The innermost line that is not ours."""

from unspool.source_line import user_frame, user_line


def test_the_line_is_that_of_the_caller() -> None:
    frame = user_frame()
    line = user_line()
    assert frame is not None
    assert frame.f_code.co_name == "test_the_line_is_that_of_the_caller"
    assert line == f"test_source_line.py:{frame.f_code.co_firstlineno + 2}"
