"""A support desk: an agent with tools, a refund that a person approves, a carrier that answers later, a colleague it asks.

    python support_desk.py demo     one case from start to end, with scripted answers unless a model is configured
    python support_desk.py serve    workers for the desk, until Ctrl-C; see README.md for what to do with it

Without CHORDAL_LLM_FILE and OPENAI_API_KEY the answers come from answers.yaml: no key, no network.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from orchestrator import Agent, AgentContext, AgentWorkerConfig, Orchestrator, ToolContext, create_task, tool
from orchestrator.settings import Settings

HERE: Final = Path(__file__).resolve().parent
DESK: Final = Path(os.environ.get("SUPPORT_DESK_DIR", "support-desk"))
"""What the tools leave behind: letters to the carrier, and the ledger of refunds."""
ORDERS: Final = {
    "A-17": {"item": "desk lamp", "paid_cents": 4900, "parcel": "P-900", "sent": "12 days ago"},
    "A-18": {"item": "kettle", "paid_cents": 3500, "parcel": "P-901", "sent": "yesterday"},
}


class Reply(BaseModel):
    """What the customer gets."""

    text: str
    refunded_cents: int


@tool
def look_up_order(order: str) -> dict[str, Any]:
    """What is known about an order, by its number."""
    return ORDERS.get(order, {"error": f"there is no order {order}"})


@tool(approval=True)
def refund(order: str, amount_cents: int, reason: str, context: ToolContext) -> dict[str, Any]:
    """Pay money back for an order. A person approves it first."""
    paid = ORDERS.get(order, {}).get("paid_cents", 0)
    if not 0 < amount_cents <= int(str(paid)):
        raise ValueError(f"{amount_cents} cents cannot be paid back for {order}; {paid} were paid")
    DESK.mkdir(parents=True, exist_ok=True)
    line = {"key": context.idempotency_key, "order": order, "amount_cents": amount_cents, "reason": reason}
    # The same key at every attempt: a call whose worker died after the payment pays nothing twice.
    ledger = DESK / f"refund-{context.idempotency_key.replace(':', '-')}.json"
    ledger.write_text(json.dumps(line))
    return {"refunded_cents": amount_cents}


@tool(deferred=True, timeout_seconds=86_400)
def ask_carrier(parcel: str, context: ToolContext) -> None:
    """Ask the carrier where a parcel is. The answer may take hours."""
    DESK.mkdir(parents=True, exist_ok=True)
    # The letter holds the token: whoever has it can answer, so it goes to the carrier and to nobody else.
    (DESK / f"letter-{parcel}.json").write_text(json.dumps({"parcel": parcel, "token": context.deferred_token}))


POLICY = Agent("policy", "You know the rules of returns and refunds. Answer in one sentence.", memory=0)
SUPPORT = Agent(
    "support",
    "You answer customers of a shop. Look the order up, ask `policy` what the rules are, ask the carrier when a parcel is "
    "late, and refund only what the rules allow.",
    tools=[look_up_order, refund, ask_carrier, POLICY],
    output_type=Reply,
    limits={"max_turns": 8},
)


def desk() -> Orchestrator:
    """The desk on this machine, or on the Redis of CHORDAL_REDIS_URL."""
    settings = Settings()
    if settings.llm_file is None and not os.environ.get("OPENAI_API_KEY"):
        settings = Settings(llm_file=HERE / "llm.yaml")
    orchestrator = Orchestrator(settings=settings)
    orchestrator.register_runner(agent=SUPPORT, agent_worker_config=AgentWorkerConfig(turn_timeout=60))
    return orchestrator


async def demo(orchestrator: Orchestrator, question: str) -> dict[str, Any]:
    """One case: this process plays the supervisor who approves, and the carrier who answers."""
    task = create_task(SUPPORT, owner_id="ann", payload=AgentContext(query=question))
    await orchestrator.enqueue_task(SUPPORT, task)
    async for update in orchestrator.subscribe_to_updates(task_ids=[task.id], after="0", until_ended=True):
        print(f"{update['timestamp'][11:23]}  {update['event_type']:38} {update['node'] or ''}", flush=True)
        waits_for = (update["data"] or {}).get("reason", "") if update["event"] == "node.waiting" else ""
        if waits_for == "deferred":
            said = {"role": "user", "content": "The customer says a voucher would do as well."}
            await orchestrator.steer_task(task.id, [said])
            for letter in sorted(DESK.glob("letter-*.json")):
                token = json.loads(letter.read_text())["token"]
                letter.unlink()
                print(f"              the carrier answers {letter.stem}")
                await orchestrator.complete_deferred_tool(token=token, result={"state": "lost in transit"})
        elif waits_for == "approval":
            print(f"              the supervisor approves {update['node']}")
            await asyncio.to_thread(orchestrator.chordal.approve, task.id, update["node"], "fine by me")
    return await orchestrator.get_task_data(task.id)


def main(words: list[str]) -> int:
    """The command line. Returns the exit code."""
    if words[:1] == ["serve"]:
        desk().run()
        return 0
    if words[:1] != ["demo"]:
        print(__doc__)
        return 2
    question = " ".join(words[1:]) or "My lamp, order A-17, has not arrived. I want my money back."
    with desk() as orchestrator:
        data = asyncio.run(demo(orchestrator, question))
    print(json.dumps({"status": data["status"], "output": data["payload"]["output"], "error": data["error"]}))
    return 0 if data["status"] == "completed" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
