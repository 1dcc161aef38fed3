"""Edge: one agent until somebody says stop. `cli.agent` runs it; in `app.up` the agent has company."""

import asyncio

from seawall.agent.agent import Agent
from seawall.agent.settings import AgentSettings


async def run_edge(settings: AgentSettings, stop: asyncio.Event) -> None:
    """Run an agent; drain it when told to stop."""
    agent = Agent(settings)
    async with asyncio.TaskGroup() as tasks:
        stopping = tasks.create_task(_stop(stop, agent), name="stop")
        await agent.run()
        stopping.cancel()


async def _stop(stop: asyncio.Event, agent: Agent) -> None:
    await stop.wait()
    agent.stop()
