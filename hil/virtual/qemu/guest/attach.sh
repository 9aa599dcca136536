export PYTHONPATH=/run/board/project:/usr/lib/ks100/site PYTHONDONTWRITEBYTECODE=1
exec python3.11 -m firmware_bridge.agent attach --socket /run/ks100/agent.sock
