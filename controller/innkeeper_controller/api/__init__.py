"""The HTTP side: routes from the request table, answers as JSON, streams; decides nothing of what is asked."""
