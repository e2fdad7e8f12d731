"""What is known about players, in words for people."""

from ondeck_core.players.models import Player
from ondeck_core.players.resolver import Ambiguous, Found, Missing, Resolution


def in_words(answer: Resolution) -> str:
    """Say who is meant, or why nobody can be named."""
    match answer:
        case Found(player=player, rule=rule):
            return f"found by {rule}: {_described(player)}"
        case Ambiguous(candidates=candidates):
            return "\n".join([f"ambiguous, {len(candidates)} fit:", *(f"  {_described(each)}" for each in candidates)])
        case Missing(next_try=next_try):
            return f"missing; the registers are asked again {next_try:%Y-%m-%d %H:%M} UTC"


def _described(player: Player) -> str:
    born = "-".join(f"{part:02d}" for part in player.born if part is not None)
    spans = [
        f"{level} {span[0]} to {span[1]}"
        for level, span in (("major league", player.major_league), ("professional", player.professional))
        if span is not None
    ]
    teams = sorted({f"{each.team} {each.season} ({each.role.value})" for each in player.played})
    known = [f"born {born}" if born else "", *spans[:1], ", ".join(teams)]
    return f"{player.player_id} {player.name}" + "".join(f"; {each}" for each in known if each)
