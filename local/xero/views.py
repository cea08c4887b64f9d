"""How Xero shows what it keeps: one literal per kind, in Xero's spelling."""

from __future__ import annotations

from decimal import Decimal

from local.xero.charts import REPORT_TAX_TYPES
from local.xero.money import CENT, Ties, rounded
from local.xero.organisations import (
    Account,
    Allocation,
    BrandingTheme,
    Contact,
    Document,
    HistoryRecord,
    Item,
    Line,
    Organisation,
    Payment,
    TaxRate,
    TrackingCategory,
    currency_name,
)
from local.xero.wire import Json, date_string, utc_string


def _present(view: Json) -> Json:
    return {key: value for key, value in view.items() if value is not None}


def contact_view(contact: Contact) -> Json:
    return _present(
        {
            "ContactID": contact.id,
            "ContactNumber": contact.number,
            "AccountNumber": contact.account_number,
            "ContactStatus": contact.status,
            "MergedToContactID": contact.merged_into,
            "Name": contact.name,
            "FirstName": contact.first_name or None,
            "LastName": contact.last_name or None,
            "CompanyNumber": contact.company_number,
            "EmailAddress": contact.email,
            "BankAccountDetails": "",
            "Addresses": [{"AddressType": "STREET"}, {"AddressType": "POBOX"}],
            "Phones": [{"PhoneType": kind} for kind in ("DEFAULT", "DDI", "MOBILE", "FAX")],
            **contact.details,
            "UpdatedDateUTC": contact.updated_at,
            "ContactGroups": [],
            "IsSupplier": contact.is_supplier,
            "IsCustomer": contact.is_customer,
            "ContactPersons": contact.persons,
            "HasAttachments": False,
            "HasValidationErrors": False,
        }
    )


def contact_summary(contact: Contact) -> Json:
    return {
        "ContactID": contact.id,
        "Name": contact.name,
        "ContactGroups": [],
        "Addresses": [],
        "Phones": [],
        "ContactPersons": [],
        "HasValidationErrors": False,
    }


def line_view(line: Line, places: int, ties: Ties) -> Json:
    return _present(
        {
            "LineItemID": line.id,
            "Description": line.description,
            "Quantity": _at(line.quantity, 4),
            "UnitAmount": rounded(line.unit_amount, places, ties),
            "ItemCode": line.item_code,
            "AccountCode": line.account_code,
            "AccountID": line.account_id,
            "TaxType": line.tax_type,
            "TaxAmount": line.tax_amount,
            "LineAmount": line.line_amount,
            "DiscountRate": line.discount_rate,
            "DiscountAmount": line.discount_amount,
            "Tracking": line.tracking,
            "ValidationErrors": None,
        }
    )


def _at(amount: Decimal, places: int) -> Decimal:
    return amount.quantize(Decimal(1).scaleb(-places))


def invoice_view(
    organisation: Organisation,
    document: Document,
    *,
    lines: bool,
    places: int,
    ties: Ties,
    without: frozenset[str] = frozenset(),
) -> Json:
    """`without`: the fields that a summary leaves out."""
    contact = organisation.contacts[document.contact_id]
    view: Json = {
        "Type": document.kind,
        "InvoiceID": document.id,
        "InvoiceNumber": document.number,
        "Reference": document.reference if document.kind == "ACCREC" else None,
        "AmountDue": document.outstanding,
        "AmountPaid": document.amount_paid,
        "AmountCredited": document.amount_allocated,
        "SentToContact": document.sent_to_contact,
        "CurrencyRate": document.currency_rate,
        "IsDiscounted": any(line.discount_rate or line.discount_amount for line in document.lines),
        "HasAttachments": False,
        "HasErrors": False,
        "Contact": contact_view(contact) if lines else contact_summary(contact),
        "DateString": date_string(document.dated_on),
        "Date": document.dated_on,
        "DueDateString": date_string(document.due_on) if document.due_on else None,
        "DueDate": document.due_on,
        "ExpectedPaymentDate": document.expected_on,
        "BrandingThemeID": document.branding_theme_id,
        "Status": document.status,
        "LineAmountTypes": document.line_amount_types,
        "LineItems": [line_view(line, places, ties) for line in document.lines] if lines else [],
        "SubTotal": document.sub_total,
        "TotalTax": document.total_tax,
        "Total": document.total,
        "UpdatedDateUTC": document.updated_at,
        "UpdatedDateUTCString": utc_string(document.updated_at),
        "CurrencyCode": document.currency,
        "Url": document.url,
        "FullyPaidOnDate": document.fully_paid_on,
        "Payments": [payment_view(payment, document) for payment in document.payments],
        "CreditNotes": [
            applied_note_view(organisation.documents[allocation.credit_note_id], allocation)
            for allocation in document.allocations
        ],
        "Prepayments": [],
        "Overpayments": [],
    }
    return _present({name: value for name, value in view.items() if name not in without})


def payment_view(payment: Payment, document: Document) -> Json:
    return {
        "PaymentID": payment.id,
        "Date": payment.paid_on,
        "Amount": payment.amount,
        "CurrencyRate": document.currency_rate,
        "HasAccount": False,
        "HasValidationErrors": False,
    }


def applied_note_view(note: Document, allocation: Allocation) -> Json:
    """A credit note as an invoice lists it."""
    return {
        "CreditNoteID": note.id,
        "CreditNoteNumber": note.number,
        "HasErrors": False,
        "AppliedAmount": allocation.amount,
        "DateString": date_string(allocation.dated_on),
        "Date": allocation.dated_on,
        "LineItems": [],
        "Total": note.total,
    }


def allocation_view(allocation: Allocation, invoice: Document) -> Json:
    """An allocation as its credit note lists it."""
    return {
        "AllocationID": allocation.id,
        "Amount": allocation.amount,
        "Date": allocation.dated_on,
        "Invoice": {"InvoiceID": invoice.id, "InvoiceNumber": invoice.number, "LineItems": []},
    }


def credit_note_view(
    organisation: Organisation, document: Document, *, lines: bool = True, places: int, ties: Ties
) -> Json:
    contact = organisation.contacts[document.contact_id]
    return _present(
        {
            "Type": document.kind,
            "CreditNoteID": document.id,
            "CreditNoteNumber": document.number,
            "Reference": document.reference,
            "RemainingCredit": document.outstanding,
            "Allocations": [
                allocation_view(allocation, organisation.documents[allocation.invoice_id])
                for allocation in document.allocations
            ],
            "Payments": [payment_view(payment, document) for payment in document.payments],
            "SentToContact": document.sent_to_contact,
            "CurrencyRate": document.currency_rate,
            "CurrencyCode": document.currency,
            "HasAttachments": False,
            "HasErrors": False,
            "Contact": contact_view(contact) if lines else contact_summary(contact),
            "DateString": date_string(document.dated_on),
            "Date": document.dated_on,
            "DueDateString": date_string(document.due_on) if document.due_on else None,
            "DueDate": document.due_on,
            "BrandingThemeID": document.branding_theme_id,
            "Status": document.status,
            "LineAmountTypes": document.line_amount_types,
            "LineItems": [line_view(line, places, ties) for line in document.lines] if lines else [],
            "SubTotal": document.sub_total,
            "TotalTax": document.total_tax,
            "Total": document.total,
            "FullyPaidOnDate": document.fully_paid_on,
            "UpdatedDateUTC": document.updated_at,
            "UpdatedDateUTCString": utc_string(document.updated_at),
        }
    )


def history_view(record: HistoryRecord) -> Json:
    return {
        "Changes": record.changes,
        "DateUTCString": utc_string(record.at),
        "DateUTC": record.at,
        "User": record.user,
        "Details": record.details,
    }


def purchase_order_view(organisation: Organisation, document: Document, ties: Ties) -> Json:
    contact = organisation.contacts[document.contact_id]
    return _present(
        {
            "PurchaseOrderID": document.id,
            "PurchaseOrderNumber": document.number,
            "DateString": date_string(document.dated_on),
            "Date": document.dated_on,
            "DeliveryDateString": date_string(document.delivery_on) if document.delivery_on else None,
            "DeliveryDate": document.delivery_on,
            "ExpectedArrivalDate": document.expected_on,
            "DeliveryAddress": document.delivery_address,
            "AttentionTo": document.attention_to,
            "Telephone": document.telephone,
            "DeliveryInstructions": document.delivery_instructions,
            "HasErrors": False,
            "IsDiscounted": any(line.discount_rate or line.discount_amount for line in document.lines),
            "Reference": document.reference,
            "Type": "PURCHASEORDER",
            "CurrencyRate": document.currency_rate,
            "CurrencyCode": document.currency,
            "Contact": contact_view(contact),
            "BrandingThemeID": document.branding_theme_id,
            "Status": document.status,
            "LineAmountTypes": document.line_amount_types,
            "LineItems": [line_view(line, 4, ties) for line in document.lines],
            "SubTotal": document.sub_total,
            "TotalTax": document.total_tax,
            "Total": document.total,
            "SentToContact": document.sent_to_contact,
            "UpdatedDateUTC": document.updated_at,
            "HasAttachments": False,
        }
    )


def item_view(item: Item, places: int, ties: Ties) -> Json:
    sales = _present(
        {
            "UnitPrice": None if item.sale_price is None else rounded(item.sale_price, places, ties),
            "AccountCode": item.sale_account,
            "TaxType": item.sale_tax,
        }
    )
    purchases = _present(
        {
            "UnitPrice": None if item.purchase_price is None else rounded(item.purchase_price, places, ties),
            "AccountCode": item.purchase_account,
            "COGSAccountCode": item.cogs_account,
            "TaxType": item.purchase_tax,
        }
    )
    view: Json = {
        "ItemID": item.id,
        "Code": item.code,
        "Name": item.name,
        "Description": item.description,
        "PurchaseDescription": item.purchase_description,
        "UpdatedDateUTC": item.updated_at,
        "PurchaseDetails": purchases if item.is_purchased else {},
        "SalesDetails": sales if item.is_sold else {},
        "IsTrackedAsInventory": item.tracked,
        "IsSold": item.is_sold,
        "IsPurchased": item.is_purchased,
    }
    if item.tracked:
        view |= {
            "InventoryAssetAccountCode": item.inventory_account,
            "TotalCostPool": item.cost_pool.quantize(CENT),
            "QuantityOnHand": _at(item.on_hand, 4),
            "QuantityOnBackOrder": _at(item.on_back_order, 4),
            "QuantityAvailable": _at(item.on_hand - item.on_back_order, 4),
        }
    return _present(view)


def account_view(account: Account, organisation: Organisation) -> Json:
    bank = account.type == "BANK"
    return _present(
        {
            "AccountID": account.id,
            "Code": account.code,
            "Name": account.name,
            "Status": account.status,
            "Type": account.type,
            "TaxType": account.tax_type,
            "Class": account.account_class,
            "SystemAccount": account.system_account,
            "EnablePaymentsToAccount": False,
            "ShowInExpenseClaims": False,
            "BankAccountNumber": "121230000654321" if bank else None,
            "BankAccountType": "BANK" if bank else "",
            "CurrencyCode": organisation.base_currency if bank else None,
            "ReportingCode": account.account_class[:3],
            "HasAttachments": False,
            "UpdatedDateUTC": organisation.created_at,
            "AddToWatchlist": False,
        }
    )


def tax_rate_view(rate: TaxRate) -> Json:
    return {
        "Name": rate.name,
        "TaxType": rate.tax_type,
        "ReportTaxType": _report_tax_type(rate),
        "CanApplyToAssets": "ASSET" in rate.applies_to,
        "CanApplyToEquity": "EQUITY" in rate.applies_to,
        "CanApplyToExpenses": "EXPENSE" in rate.applies_to,
        "CanApplyToLiabilities": "LIABILITY" in rate.applies_to,
        "CanApplyToRevenue": "REVENUE" in rate.applies_to,
        "DisplayTaxRate": _at(rate.displayed, 4),
        "EffectiveRate": _at(rate.effective, 4),
        "Status": rate.status,
        "TaxComponents": [
            {"Name": "Tax", "Rate": _at(rate.displayed, 4), "IsCompound": False, "IsNonRecoverable": False}
        ],
    }


def _report_tax_type(rate: TaxRate) -> str:
    known = rate.report_tax_type or REPORT_TAX_TYPES.get(rate.tax_type)
    if known:
        return known
    if "EXPENSE" not in rate.applies_to:
        return "OUTPUT"
    return "NONE" if "REVENUE" in rate.applies_to else "INPUT"


def currency_view(code: str) -> Json:
    return {"Code": code, "Description": currency_name(code)}


def branding_theme_view(theme: BrandingTheme) -> Json:
    return {
        "BrandingThemeID": theme.id,
        "Name": theme.name,
        "SortOrder": theme.sort_order,
        "CreatedDateUTC": theme.created_at,
    }


def tracking_category_view(category: TrackingCategory) -> Json:
    return {
        "Name": category.name,
        "Status": category.status,
        "TrackingCategoryID": category.id,
        "Options": [
            {
                "TrackingOptionID": option_id,
                "Name": name,
                "Status": "ACTIVE",
                "HasValidationErrors": False,
                "IsDeleted": False,
                "IsArchived": False,
                "IsActive": True,
            }
            for option_id, name in category.options.items()
        ],
    }


def organisation_view(organisation: Organisation) -> Json:
    country = organisation.country
    return _present(
        {
            "Name": organisation.name,
            "LegalName": organisation.name,
            "PaysTax": organisation.pays_tax,
            "Version": country.version,
            "OrganisationType": "COMPANY",
            "BaseCurrency": country.base_currency,
            "CountryCode": country.code,
            "IsDemoCompany": organisation.is_demo,
            "OrganisationStatus": "ACTIVE",
            "FinancialYearEndDay": 31,
            "FinancialYearEndMonth": 3 if country.version in ("UK", "NZ") else 12,
            "SalesTaxBasis": "ACCRUALS" if organisation.pays_tax else "NONE",
            "SalesTaxPeriod": "QUARTERLY" if organisation.pays_tax else None,
            "DefaultSalesTax": "Tax Exclusive",
            "DefaultPurchasesTax": "Tax Exclusive",
            "PeriodLockDate": organisation.period_lock_date,
            "EndOfYearLockDate": organisation.end_of_year_lock_date,
            "CreatedDateUTC": organisation.created_at,
            "Timezone": country.timezone,
            "OrganisationEntityType": "COMPANY",
            "ShortCode": organisation.short_code,
            "Class": "DEMO" if organisation.is_demo else "PREMIUM",
            "Edition": "BUSINESS",
            "OrganisationID": organisation.id,
            "Addresses": [],
            "Phones": [],
            "ExternalLinks": [],
            "PaymentTerms": {},
        }
    )


def actions_view(organisation: Organisation, *, may_approve: bool) -> list[Json]:
    def allowed(name: str, yes: bool) -> Json:
        return {"Name": name, "Status": "ALLOWED" if yes else "NOT-ALLOWED"}

    return [
        allowed("AttachFilesToApprovedInvoice", True),
        allowed("CreateApprovedBill", True),
        allowed("CreateApprovedInvoice", may_approve),
        allowed("CreateDraftBill", True),
        allowed("CreateDraftInvoice", True),
        allowed("CreateDraftPurchaseOrder", True),
        allowed("CreateApprovedPurchaseOrder", True),
        allowed("ApproveTransactionsBeforePeriodLockDate", False),
        allowed("UseMulticurrency", organisation.multicurrency),
    ]
