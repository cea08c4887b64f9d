"""Orders of the platform, kept in a company's Xero books."""

import logging

# at DEBUG these quote whole requests, bodies and headers, secrets and the function's own credentials among them
for library in ("aws_lambda_powertools", "boto3", "botocore", "urllib3"):
    logging.getLogger(library).setLevel(logging.INFO)
