"""nestling doctor: what this machine can do, and what params.yaml asks for that is not there. Changes nothing."""

import typer


def doctor() -> None:
    """Say in one screen what this machine can do, and what params.yaml asks for that is missing (exit code 1)."""
    from nestling.doctor.checks import diagnose  # late: other commands start without what the checks need
    from nestling.doctor.facts import gather
    from nestling.doctor.findings import screen

    findings = diagnose(gather())
    typer.echo("\n".join(screen(findings)))
    if any(finding.state == "no" for finding in findings.values()):
        raise typer.Exit(1)
