"""What the schedules of the checkpoint_schedules package cost, by its own actions."""

from checkpoint_schedules import Copy, EndReverse, Forward, Move, StorageType
from checkpoint_schedules.schedule import CheckpointSchedule


def count(schedule: CheckpointSchedule) -> tuple[int, int, int]:
    """Return its evaluations of the step, writes to disk and reads from disk."""
    steps = writes = reads = 0
    for action in schedule:
        match action:
            case Forward():
                steps += action.n1 - action.n0
                writes += action.write_ics and action.storage == StorageType.DISK
            case Copy() | Move():
                reads += action.from_storage == StorageType.DISK
            case EndReverse():
                break
    return steps, writes, reads
